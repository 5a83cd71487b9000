import { expect, test } from "vitest";

import type { Dataset } from "@/api/queries";
import { plainAnswer } from "@/components/page/answer";

import { readReport } from "../dataset/report";
import { datasetBody, EMPTY_FORM, missingPart } from "./import/dataset_body";
import { answer, balance, datasetAnswer } from "./sentences";

function dataset(changes: Partial<Dataset>): Dataset {
  const description = {
    source: "packed",
    classes: 10,
    class_names: [],
    channels: 1,
    height: 8,
    width: 8,
    train_images: 1437,
    test_images: 360,
  };
  return { status: "ready", problem: null, description, ...changes } as Dataset;
}

test("the answer says how exact its test images are", () => {
  expect(plainAnswer(datasetAnswer(dataset({})))).toBe(
    "10 classes: 1,437 images to train on and 360 images to test on, of 8 × 8, gray. " +
      "An accuracy near 50 % is known to ±5.1 points (95 %); small differences between networks " +
      "cannot be seen on them.",
  );
});

test("a refused import says why", () => {
  const refused = dataset({ status: "refused", description: null, problem: { detail: "Empty." } });
  expect(plainAnswer(datasetAnswer(refused))).toBe("The import was refused. Empty.");
  expect(plainAnswer(answer([refused, dataset({})]))).toBe(
    "1 data set is ready to train and test on. 1 refused.",
  );
});

test("classes are compared by their training images", () => {
  expect(balance({ cat: 5, dog: 7 }).replaceAll("\u00a0", " ")).toBe(
    "From 5 (cat) to 7 (dog) training images per class.",
  );
  expect(balance({ cat: 5, dog: 5 }).replaceAll("\u00a0", " ")).toBe(
    "Each class has 5 training images.",
  );
  expect(balance({})).toBe("");
});

test("a body has only what its source needs", () => {
  const form = { ...EMPTY_FORM, name: " birds ", every: "10", classes: "a\n\n b " };
  expect(datasetBody(form)).toEqual({ name: "birds", every: 10, classes: ["a", "b"] });
  expect(datasetBody({ ...EMPTY_FORM, source: "download", name: "c" })).toEqual({
    name: "c",
    download: "cifar10",
  });
  expect(datasetBody({ ...EMPTY_FORM, name: "c", imageSize: "big" })).toMatchObject({
    image_size: "big",
  });
});

test("what is missing is said before it is sent", () => {
  expect(missingPart(EMPTY_FORM, undefined)).toBe("Choose an archive first.");
  expect(missingPart({ ...EMPTY_FORM, source: "download", name: "c" }, undefined)).toBeUndefined();
});

test("a report is read with its reasons and counts", () => {
  const report = readReport({
    layout: "A folder for each class.",
    remarks: ["One class is small."],
    ignored_files: 3,
    ignored: [{ reason: "no image", files: 3, first: ["a.txt"] }],
    images: { train: { cat: 5 }, test: { cat: 1, dog: 2 } },
  });
  expect(report.ignored).toEqual([{ reason: "no image", files: 3, first: ["a.txt"] }]);
  expect(report.classes).toEqual([
    { name: "cat", train: 5, test: 1 },
    { name: "dog", train: 0, test: 2 },
  ]);
  expect(readReport({}).classes).toEqual([]);
});
