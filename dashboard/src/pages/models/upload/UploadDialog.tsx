/** Uploads a checkpoint: file, architecture with its settings, classes, size of the images. */

import { useQuery } from "@tanstack/react-query";
import { useState } from "react";
import { useNavigate } from "react-router";

import { api, get, unwrap } from "@/api/client";
import type { components } from "@/api/generated/schema";
import { LARGEST_PAGE } from "@/api/queries";
import { Dialog } from "@/components/controls/Dialog";
import { Field, SelectField } from "@/components/controls/Field";
import { FileField } from "@/components/upload/FileField";
import { UploadActions, UploadState } from "@/components/upload/UploadProgress";
import styles from "@/components/records/records.module.css";
import {
  settingsBody,
  settingsFields,
  type SettingsField,
} from "@/components/records/settings_schema";
import { useUpload, type UploadInput } from "@/components/upload/useUpload";
import { fieldError } from "@/components/records/versioned";
import { nameOf } from "@/components/records/words";
import { QueryState } from "@/components/states/QueryState";

import { DESCRIPTION_FIELDS, modelBody } from "./model_body";

type Architecture = components["schemas"]["ArchitectureResponse"];
type CreateModel = components["schemas"]["CreateModelRequest"];
type Values = Readonly<Record<string, string>>;

const architecturesQuery = {
  queryKey: ["architectures"],
  queryFn: ({ signal }: { signal: AbortSignal }) =>
    get("/v1/architectures", { params: { query: { limit: LARGEST_PAGE } }, signal }),
  staleTime: Infinity,
};

export function UploadDialog({ onClose }: { onClose: () => void }) {
  const navigate = useNavigate();
  const architectures = useQuery(architecturesQuery);
  const [file, setFile] = useState<File>();
  const [values, setValues] = useState<Values>({});
  const upload = useUpload((id) => void navigate(`/models/${id}`));
  const all = architectures.data?.data ?? [];
  const architecture = all.find(({ name }) => name === values.architecture) ?? all[0];
  const error = upload.mutation.error;
  const change = (name: string, value: string) => setValues((old) => ({ ...old, [name]: value }));
  const choose = (chosen: File | undefined) => {
    setFile(chosen);
    if (chosen !== undefined && !values.name) change("name", nameOf(chosen.name));
  };
  const send = () => {
    if (architecture !== undefined) upload.mutation.mutate(uploadOf(architecture, values, file));
  };
  const form = { architectures: all, architecture, file, values, error };
  const fields = { ...form, onChange: change, onFile: choose };
  return (
    <Dialog
      title="Upload a model"
      isOpen
      onClose={onClose}
      wide
      actions={
        <UploadActions
          action="Upload"
          upload={upload}
          whyNot={file === undefined ? "Choose a file first." : undefined}
          onSend={send}
          onClose={onClose}
        />
      }
    >
      <QueryState query={architectures}>{() => <Fields {...fields} />}</QueryState>
      <UploadState upload={upload} file={file} />
    </Dialog>
  );
}

function uploadOf(architecture: Architecture, values: Values, file: File | undefined): UploadInput {
  const body = bodyOf(architecture, values);
  return {
    create: async () => (await unwrap(api.POST("/v1/models", { body }))).id,
    contentPath: (id) => `/v1/models/${encodeURIComponent(id)}/content`,
    file,
  };
}

function bodyOf(architecture: Architecture, values: Values): CreateModel {
  const fields = settingsFields(architecture.settings);
  const own = fields.map(({ name }) => [name, values[settingKey(name)] ?? ""] as const);
  const settings = settingsBody(fields, Object.fromEntries(own));
  return modelBody(architecture.name, settings, values) as unknown as CreateModel;
}

interface FieldsProps {
  architectures: readonly Architecture[];
  architecture: Architecture | undefined;
  file: File | undefined;
  values: Values;
  error: Error | null;
  onChange: (name: string, value: string) => void;
  onFile: (file: File | undefined) => void;
}

function Fields(props: FieldsProps) {
  const { architectures, architecture, values, error, onChange } = props;
  return (
    <div className={styles.form}>
      <FileField
        label="Checkpoint"
        hint="safetensors, or written by torch.save. A worker opens it in a sandbox."
        accept=".safetensors,.pt,.pth,.ckpt,.bin,.tar"
        file={props.file}
        onChange={props.onFile}
      />
      <SelectField
        label="Architecture"
        value={architecture?.name ?? ""}
        onChange={(event) => onChange("architecture", event.target.value)}
        error={fieldError(error, "network", "architecture")}
      >
        {architectures.map(({ name, title }) => (
          <option key={name} value={name}>
            {title} ({name})
          </option>
        ))}
      </SelectField>
      {DESCRIPTION_FIELDS.map(({ name, label, aside, initial }) => (
        <Field
          key={name}
          label={label}
          aside={aside}
          value={values[name] ?? initial}
          inputMode={initial === "" ? "text" : "numeric"}
          onChange={(event) => onChange(name, event.target.value)}
          error={fieldError(error, name)}
        />
      ))}
      <Settings {...props} />
    </div>
  );
}

function Settings({ architecture, values, error, onChange }: FieldsProps) {
  if (architecture === undefined) return null;
  return settingsFields(architecture.settings).map((field) => (
    <Setting key={field.name} field={field} values={values} error={error} onChange={onChange} />
  ));
}

interface SettingProps {
  field: SettingsField;
  values: Values;
  error: Error | null;
  onChange: (name: string, value: string) => void;
}

function Setting({ field, values, error, onChange }: SettingProps) {
  const { name, title, hint, choices, initial, aside } = field;
  const shared = {
    label: title,
    hint,
    error: fieldError(error, "network", name),
  };
  if (choices.length === 0) {
    return (
      <Field
        {...shared}
        aside={aside}
        value={values[settingKey(name)] ?? initial}
        onChange={(event) => onChange(settingKey(name), event.target.value)}
      />
    );
  }
  return (
    <SelectField
      {...shared}
      value={values[settingKey(name)] ?? ""}
      onChange={(event) => onChange(settingKey(name), event.target.value)}
    >
      <option value="">by default ({initial})</option>
      {choices.map((choice) => (
        <option key={choice}>{choice}</option>
      ))}
    </SelectField>
  );
}

/** The width of a network is not that of its images. */
function settingKey(name: string): string {
  return `network.${name}`;
}
