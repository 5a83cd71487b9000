/** Imports a data set: from an archive, the operator's data folder, or a download. */

import { useState } from "react";
import { useNavigate } from "react-router";

import { api, unwrap } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { useService } from "@/api/service";
import { Dialog } from "@/components/controls/Dialog";
import { Field, SelectField } from "@/components/controls/Field";
import { Segmented } from "@/components/controls/Segmented";
import { Area } from "@/components/records/Annotations";
import { FileField } from "@/components/upload/FileField";
import styles from "@/components/records/records.module.css";
import { UploadActions, UploadState } from "@/components/upload/UploadProgress";
import { nameOf } from "@/components/records/words";
import { useUpload, type UploadInput } from "@/components/upload/useUpload";
import { fieldError } from "@/components/records/versioned";

import { datasetBody, EMPTY_FORM, missingPart, type ImportForm, type Source } from "./dataset_body";

type CreateDataset = components["schemas"]["CreateDatasetRequest"];

const SOURCES: readonly { value: Source; label: string }[] = [
  { value: "upload", label: "Archive" },
  { value: "folder", label: "Data folder" },
  { value: "download", label: "Download" },
];

export function ImportDialog({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const [form, setForm] = useState(EMPTY_FORM);
  const [file, setFile] = useState<File>();
  const upload = useUpload((id) => void navigate(`/datasets/${id}`));
  const { mutation } = upload;
  const change = (part: Partial<ImportForm>) => setForm((old) => ({ ...old, ...part }));
  const choose = (chosen: File | undefined) => {
    setFile(chosen);
    if (chosen !== undefined && form.name === "") change({ name: nameOf(chosen.name) });
  };
  const send = () => mutation.mutate(uploadOf(form, file));
  return (
    <Dialog
      title="Import a data set"
      isOpen
      onClose={onClose}
      wide
      actions={
        <UploadActions
          action="Import"
          upload={upload}
          whyNot={missingPart(form, file)}
          onSend={send}
          onClose={onClose}
        />
      }
    >
      <Fields form={form} onChange={change} error={mutation.error}>
        <ArchiveField file={file} onChange={choose} />
      </Fields>
      <UploadState upload={upload} file={file} />
    </Dialog>
  );
}

function uploadOf(form: ImportForm, file: File | undefined): UploadInput {
  const body = datasetBody(form) as unknown as CreateDataset;
  return {
    create: async () => (await unwrap(api.POST("/v1/datasets", { body }))).id,
    contentPath: (id) => `/v1/datasets/${encodeURIComponent(id)}/content`,
    file: form.source === "upload" ? file : undefined,
  };
}

interface ArchiveFieldProps {
  file: File | undefined;
  onChange: (file: File | undefined) => void;
}

function ArchiveField(props: ArchiveFieldProps) {
  return (
    <FileField
      {...props}
      label="Archive"
      hint="zip, tar, tar.gz, tar.xz or tar.bz2 with a folder for each class, or an .npz."
      accept=".zip,.tar,.gz,.tgz,.xz,.bz2,.npz"
    />
  );
}

interface FieldsProps {
  form: ImportForm;
  onChange: (part: Partial<ImportForm>) => void;
  error: Error | null;
  /** The choice of a file. */
  children: React.ReactNode;
}

function Fields({ form, onChange, error, children }: FieldsProps) {
  // Only what this installation allows.
  const allowed = useService()?.dataset_imports ?? [EMPTY_FORM.source];
  const sources = SOURCES.filter(({ value }) => allowed.includes(value));
  return (
    <>
      {sources.length > 1 && (
        <Segmented
          label="Where it comes from"
          options={sources}
          value={form.source}
          onChange={(source) => onChange({ source })}
        />
      )}
      <div className={styles.form}>
        {form.source === "upload" ? (
          children
        ) : (
          <Origin form={form} onChange={onChange} error={error} />
        )}
        <Field
          label="Name"
          aside="unique"
          value={form.name}
          onChange={(event) => onChange({ name: event.target.value })}
          error={fieldError(error, "name")}
        />
        <Options form={form} onChange={onChange} error={error} />
      </div>
    </>
  );
}

function Origin({ form, onChange, error }: Omit<FieldsProps, "children">) {
  if (form.source === "folder") {
    return (
      <Field
        label="Folder"
        hint="Name of an entry in the operator's data folder."
        value={form.folder}
        onChange={(event) => onChange({ folder: event.target.value })}
        error={fieldError(error, "folder")}
      />
    );
  }
  return (
    <SelectField
      label="Download"
      hint="A worker fetches it."
      value={form.download}
      onChange={(event) => onChange({ download: event.target.value })}
      error={fieldError(error, "download")}
    >
      <option value="cifar10">CIFAR-10</option>
      <option value="cifar100">CIFAR-100</option>
    </SelectField>
  );
}

function Options({ form, onChange, error }: Omit<FieldsProps, "children">) {
  return (
    <>
      <Field
        label="Image size"
        aside="px, optional"
        hint="Keep the images encoded, and scale them to this height and width when they are used."
        value={form.imageSize}
        onChange={(event) => onChange({ imageSize: event.target.value })}
        error={fieldError(error, "image_size")}
      />
      <Field
        label="Every n-th class"
        aside="optional"
        hint="Use every n-th class of the sorted list: 10 makes an ImageNet-100."
        value={form.every}
        onChange={(event) => onChange({ every: event.target.value })}
        error={fieldError(error, "every")}
      />
      <Area
        label="Classes"
        aside="optional, one a line"
        rows={3}
        value={form.classes}
        onChange={(classes) => onChange({ classes })}
        error={fieldError(error, "classes")}
      />
    </>
  );
}
