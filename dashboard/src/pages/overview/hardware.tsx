/** Cells of a worker's machine: device, load, memory, temperature. */

import type { Worker } from "@/api/queries";
import { Meter } from "@/components/marks/Meter";
import { formatGibOf } from "@/format/bytes";
import { formatNumber, formatPercent } from "@/format/numbers";

type Hardware = NonNullable<Worker["hardware"]>;
type Gpu = NonNullable<Hardware["gpus"]>[number];

/** From this share on, a machine has nothing left. */
const HOT = 0.95;
/** Degrees Celsius at which GPUs begin to slow down. */
const HOT_DEGREES = 85;

export function Device({ hardware }: { hardware: Hardware }) {
  const gpus = hardware.gpus ?? [];
  const { kind, name } = hardware.device;
  if (kind === "cpu") {
    return (
      <>
        CPU
        <span className="sub">
          {gpus.length === 0 ? (name ?? "no GPU") : "its GPU is not used"}
        </span>
      </>
    );
  }
  return (
    <>
      {gpus.length > 1 ? `${gpus.length} GPUs` : "GPU"}
      <span className="sub">{gpus[0]?.name ?? name}</span>
    </>
  );
}

/** How busy: of GPUs the mean share of time, of processors the load on their cores. */
export function Load({ hardware }: { hardware: Hardware }) {
  const shares = gpuValues(hardware, (gpu) => gpu.utilization);
  if (shares.length > 0) {
    const share = mean(shares);
    return <Bar value={share} max={1} text={formatPercent(share, 0)} />;
  }
  const { load, cores } = hardware;
  if (load == null || cores == null) return null;
  const text = `${formatNumber(load, 1)} on ${formatNumber(cores)} cores`;
  return <Bar value={load} max={cores} text={text} canBeHot />;
}

/** Of the GPUs where there are any, else of the host. */
export function Memory({ hardware }: { hardware: Hardware }) {
  const used = gpuValues(hardware, (gpu) => gpu.memory_used);
  const total = gpuValues(hardware, (gpu) => gpu.memory_total);
  if (used.length > 0 && used.length === total.length) {
    return <MemoryBar used={sum(used)} total={sum(total)} />;
  }
  const { memory_used: hostUsed, memory_total: hostTotal } = hardware;
  if (hostUsed == null || hostTotal == null) return null;
  return <MemoryBar used={hostUsed} total={hostTotal} />;
}

/** Of the hottest GPU. */
export function Temperature({ hardware }: { hardware: Hardware }) {
  const degrees = gpuValues(hardware, (gpu) => gpu.temperature);
  if (degrees.length === 0) return <span className="dim">not reported</span>;
  const hottest = Math.max(...degrees);
  return (
    <span className={hottest >= HOT_DEGREES ? "warn-text strong" : undefined}>
      {formatNumber(hottest)}&nbsp;°C
    </span>
  );
}

function MemoryBar({ used, total }: { used: number; total: number }) {
  return <Bar value={used} max={total} text={formatGibOf(used, total)} canBeHot />;
}

interface BarProps {
  value: number;
  max: number;
  text: string;
  canBeHot?: boolean;
}

function Bar({ value, max, text, canBeHot = false }: BarProps) {
  const isHot = canBeHot && value >= HOT * max;
  return (
    <>
      <Meter value={value} max={max} label={text} tone={isHot ? "hot" : "calm"} />
      <span className="sub">{text}</span>
    </>
  );
}

function gpuValues(hardware: Hardware, read: (gpu: Gpu) => number | null | undefined): number[] {
  if (hardware.device.kind !== "cuda") return [];
  return (hardware.gpus ?? []).flatMap((gpu) => read(gpu) ?? []);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
