/** The page's sentences. Pure. */

import type { Model } from "@/api/queries";
import { strong, type AnswerPart } from "@/components/page/answer";
import { methodTitle } from "@/format/names";
import { formatInterval, formatPercent, plural } from "@/format/numbers";
import { threatModelTitle } from "@/format/threat_model";

import type { Lineage } from "./data";
import { groupResults } from "./results";

/** How robust it is, under which threat model, and where it comes from. */
export function answer(model: Model, lineage: Lineage | undefined): AnswerPart[] {
  if (model.status === "refused") return ["The import was refused. ", detailOf(model.problem)];
  if (model.status === "awaiting_upload") return ["Its file has not been uploaded yet."];
  if (model.status === "importing") return ["A worker imports the uploaded file."];
  return [...resultSentence(model), ...originSentence(model, lineage)];
}

export function detailOf(problem: Model["problem"]): string {
  const detail = problem?.detail;
  return typeof detail === "string" ? detail : "";
}

function resultSentence(model: Model): AnswerPart[] {
  const group = groupResults(model).find(({ deciding }) => deciding !== undefined);
  const { deciding, threatModel } = group ?? {};
  if (deciding === undefined || threatModel === undefined) return ["Not measured under attack. "];
  const { value, low, high } = deciding.value;
  const interval = low === null || high === null ? "" : ` (${formatInterval([low, high])})`;
  const parts: AnswerPart[] = [
    strong(formatPercent(value)),
    `${interval} under ${deciding.measure.label} at ${threatModelTitle(threatModel)}`,
  ];
  const clean = group?.rows.find(({ measure }) => measure.key === "clean");
  if (clean !== undefined) parts.push(", ", strong(formatPercent(clean.value.value)), " clean");
  return [...parts, ". "];
}

function originSentence(model: Model, lineage: Lineage | undefined): AnswerPart[] {
  const size = model.parameters === null ? "" : plural(model.parameters, "parameter");
  if (model.source_job_id === null) return [size === "" ? "Uploaded." : `Uploaded, ${size}.`];
  const node = lineage?.nodes.find(({ id }) => id === model.source_job_id);
  const method = node?.method == null ? "" : ` by ${methodTitle(node.method)}`;
  const teacher = teacherName(model.source_job_id, lineage);
  const verb = teacher === undefined ? "trained" : "distilled";
  const words = `${verb}${method}${teacher === undefined ? "" : ` from ${teacher}`}`;
  const text = size === "" ? words : `${size}, ${words}`;
  return [`${text.charAt(0).toUpperCase()}${text.slice(1)}.`];
}

function teacherName(jobId: string, lineage: Lineage | undefined): string | undefined {
  const edge = lineage?.edges.find(({ role, target }) => role === "teacher" && target === jobId);
  const node = lineage?.nodes.find(({ id }) => id === edge?.source);
  return node === undefined ? undefined : (node.name ?? "a deleted teacher");
}

/** What aliases of other versions say before one is moved. */
export function aliasHint(alias: string, owner: string | undefined): string {
  if (owner === undefined) return "A small letter, then letters, digits, _ and -.";
  return `${alias} means ${owner} now. Jobs that were submitted with it keep that model.`;
}

/** Lines that load the weights: their file says which network they are. */
export function loadingCode(model: Model): string {
  const { channels, height, width } = model.description;
  return [
    "from pathlib import Path",
    "",
    "from safetensors import safe_open",
    "",
    "from core.distillation.models import from_description",
    "from core.distillation.models.safetensors_weights import load_weights",
    "from core.jobspec.network import ModelDescription",
    "",
    `path = Path(${JSON.stringify(`${model.name}.safetensors`)})`,
    'with safe_open(path, "pt") as file:',
    '    description = ModelDescription.model_validate_json(file.metadata()["description"])',
    "network = from_description(description).eval()",
    "load_weights(network, path)",
    `logits = network(images)  # [B, ${channels}, ${height}, ${width}], pixels in [0, 1]`,
  ].join("\n");
}

export const ONNX_CODE = [
  "import onnxruntime",
  "",
  'session = onnxruntime.InferenceSession("student.onnx")',
  'logits = session.run(["logits"], {"images": images})[0]',
].join("\n");
