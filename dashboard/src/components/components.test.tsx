// @vitest-environment jsdom
import { fireEvent, render, screen, within } from "@testing-library/react";
import { expect, test, vi } from "vitest";

import { ApiProblem } from "@/api/problem";

import { Button } from "./controls/Button";
import { Field } from "./controls/Field";
import { scaleOf, Whisker } from "./marks/Whisker";
import { sparkPath } from "./marks/Spark";
import { Failure } from "./states/QueryState";
import { groupHeads, type Column } from "./table/columns";
import { DataTable } from "./table/DataTable";

interface Item {
  id: string;
  name: string;
  score: number | undefined;
}

const ITEMS: Item[] = [
  { id: "1", name: "b", score: 0.5 },
  { id: "2", name: "a", score: undefined },
  { id: "3", name: "c", score: 0.7 },
];
const COLUMNS: Column<Item>[] = [
  { id: "name", title: "Name", isRowHead: true, cell: (item) => item.name, sortBy: (i) => i.name },
  {
    id: "score",
    title: "Score",
    kind: "number",
    cell: (item) => item.score ?? "",
    sortBy: (item) => item.score,
  },
];
const rowId = (item: Item) => item.id;
const names = () => screen.getAllByRole("rowheader").map((cell) => cell.textContent);

test("a missing value is last in both directions", () => {
  render(<DataTable label="Items" rows={ITEMS} columns={COLUMNS} rowId={rowId} />);
  expect(names()).toEqual(["b", "a", "c"]);
  const head = screen.getByRole("button", { name: /Score/ });
  fireEvent.click(head);
  expect(names()).toEqual(["c", "b", "a"]);
  const sorted = screen.getByRole("columnheader", { name: /Score/ });
  expect(sorted.getAttribute("aria-sort")).toBe("descending");
  fireEvent.click(head);
  expect(names()).toEqual(["b", "c", "a"]);
  fireEvent.click(screen.getByRole("button", { name: "Name" }));
  expect(names()).toEqual(["a", "b", "c"]);
});

test("rows that the service has sorted stay in their order", () => {
  const onSort = vi.fn();
  const sort = { column: "score", descending: true };
  render(
    <DataTable
      label="Items"
      rows={ITEMS}
      columns={COLUMNS}
      rowId={rowId}
      sort={sort}
      onSort={onSort}
      isSortedByService
    />,
  );
  expect(names()).toEqual(["b", "a", "c"]);
  fireEvent.click(screen.getByRole("button", { name: /Score/ }));
  expect(onSort).toHaveBeenCalledWith({ column: "score", descending: false });
});

test("rows are selected one by one and all together", () => {
  const onSelect = vi.fn();
  render(
    <DataTable
      label="Items"
      rows={ITEMS}
      columns={COLUMNS}
      rowId={rowId}
      rowName={(item) => item.name}
      selection={new Set(["1"])}
      onSelect={onSelect}
    />,
  );
  fireEvent.click(screen.getByRole("checkbox", { name: "Select c" }));
  expect(onSelect).toHaveBeenLastCalledWith(new Set(["1", "3"]));
  fireEvent.click(screen.getByRole("checkbox", { name: "Select all rows" }));
  expect(onSelect).toHaveBeenLastCalledWith(new Set(["1", "2", "3"]));
});

test("neighbors of one group share one head", () => {
  const column = (id: string, group?: string): Column<Item> => ({
    id,
    title: id,
    cell: () => "",
    ...(group === undefined ? {} : { group }),
  });
  const heads = groupHeads([column("a"), column("b", "Test"), column("c", "Test"), column("d")]);
  expect(heads.map(({ title, span, column: { id } }) => [title, span, id])).toEqual([
    ["", 1, "a"],
    ["Test", 2, "b"],
    ["", 1, "d"],
  ]);
});

test("a scale has round ticks around all intervals", () => {
  expect(scaleOf([[0.437, 0.75]])).toMatchObject({
    low: 40,
    high: 80,
    ticks: [40, 50, 60, 70, 80],
  });
  expect(scaleOf([])).toMatchObject({ low: 0, high: 100 });
  expect(scaleOf([[1, 1]]).high).toBeGreaterThan(scaleOf([[1, 1]]).low);
});

test("a whisker says its value and interval in words", () => {
  const scale = scaleOf([[0.4, 0.6]]);
  render(<Whisker value={0.5} interval={[0.4, 0.6]} scale={scale} kind="robust" />);
  const label = screen.getByRole("img").getAttribute("aria-label")?.replaceAll("\u00a0", " ");
  expect(label).toBe("50.00 %, 95 % interval 40.0–60.0");
});

test("a spark line ends where the job is", () => {
  expect(
    sparkPath(
      [
        [0, 0],
        [50, 0.5],
      ],
      100,
    ),
  ).toBe("M0.0 100.0L500.0 50.0");
});

test("a button that is refused says why and does nothing", () => {
  const onClick = vi.fn();
  render(
    <Button onClick={onClick} whyNot="It has ended.">
      Pause
    </Button>,
  );
  const button = screen.getByRole("button", { name: "Pause", description: "It has ended." });
  fireEvent.click(button);
  expect(onClick).not.toHaveBeenCalled();
});

test("a field that is wrong is joined to its sentence", () => {
  render(<Field label="Epochs" error="Must be at least 1, not 0." />);
  const input = screen.getByRole("textbox", { description: "Must be at least 1, not 0." });
  expect(input.getAttribute("aria-invalid")).toBe("true");
});

test("a failure has its sentence, request id and way on", () => {
  const onRetry = vi.fn();
  const error = new ApiProblem({ detail: "The database is busy.", request_id: "req_1" });
  render(<Failure error={error} onRetry={onRetry} />);
  const alert = within(screen.getByRole("alert"));
  expect(alert.getByText("The database is busy.")).toBeTruthy();
  expect(alert.getByText("req_1")).toBeTruthy();
  fireEvent.click(alert.getByRole("button", { name: "Try again" }));
  expect(onRetry).toHaveBeenCalled();
});
