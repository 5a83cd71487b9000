/** Projects of the installation: each has its own jobs, models, data sets and keys. */

import { useInfiniteQuery, useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";

import { api, unwrap } from "@/api/client";
import { useSession } from "@/api/session";
import { Button } from "@/components/controls/Button";
import { FormDialog } from "@/components/controls/Dialog";
import { Field } from "@/components/controls/Field";
import { Section } from "@/components/page/Section";
import { QueryState } from "@/components/states/QueryState";
import type { Column } from "@/components/table/columns";
import { DataTable } from "@/components/table/DataTable";
import { Time } from "@/components/text/Time";

import { projectsQuery, type NewKey, type Project } from "../data";
import { errorOf, OtherFailure } from "./CreateKey";
import { MoreButton } from "./MoreButton";
import { Secret } from "./Secret";

const COLUMNS: Column<Project>[] = [
  {
    id: "name",
    title: "Name",
    isRowHead: true,
    cell: ({ id, name }) => <ProjectName id={id} name={name} />,
    sortBy: ({ name }) => name,
  },
  { id: "id", title: "Id", cell: ({ id }) => <span className="mono">{id}</span> },
  {
    id: "created",
    title: "Created",
    kind: "number",
    cell: ({ created_at: at }) => <Time at={at} />,
    sortBy: ({ created_at: at }) => at,
  },
];

interface Created {
  name: string;
  key: NewKey;
}

export function Projects() {
  const projects = useInfiniteQuery(projectsQuery);
  const [isCreating, setCreating] = useState(false);
  const [created, setCreated] = useState<Created>();
  return (
    <Section
      title="Projects"
      note="Each sees its own jobs, models and data sets alone."
      more={<Button onClick={() => setCreating(true)}>Create a project</Button>}
    >
      {created !== undefined && (
        <Secret
          title={`First key of ${created.name}`}
          secret={created.key.secret}
          onDone={() => setCreated(undefined)}
        />
      )}
      <QueryState query={projects}>
        {({ pages }) => (
          <>
            <DataTable
              label="List of projects"
              rows={pages.flatMap((page) => page.data)}
              columns={COLUMNS}
              rowId={({ id }) => id}
            />
            <MoreButton query={projects} noun="projects" />
          </>
        )}
      </QueryState>
      <CreateProject
        isOpen={isCreating}
        onClose={() => setCreating(false)}
        onCreated={setCreated}
      />
    </Section>
  );
}

function ProjectName({ id, name }: { id: string; name: string }) {
  const isOwn = useSession()?.project_id === id;
  return (
    <>
      {name}
      {isOwn && <span className="dim small"> this project</span>}
    </>
  );
}

interface CreateProjectProps {
  isOpen: boolean;
  onClose: () => void;
  onCreated: (project: Created) => void;
}

function CreateProject({ isOpen, onClose, onCreated }: CreateProjectProps) {
  const [name, setName] = useState("");
  const client = useQueryClient();
  const creation = useMutation({
    mutationFn: () => unwrap(api.POST("/v1/projects", { body: { name } })),
    onSuccess: async (project) => {
      setName("");
      onCreated(project);
      onClose();
      await client.invalidateQueries({ queryKey: projectsQuery.queryKey });
    },
  });
  return (
    <FormDialog
      title="Create a project"
      action="Create"
      isOpen={isOpen}
      isBusy={creation.isPending}
      onSubmit={() => creation.mutate()}
      onClose={onClose}
    >
      <p>It gets a first key, with the scopes read, submit and admin.</p>
      <Field
        label="Name"
        hint="Letters, digits, dots, underscores and hyphens."
        error={errorOf(creation.error, "name")}
        value={name}
        onChange={({ target }) => setName(target.value)}
        autoComplete="off"
      />
      <OtherFailure error={creation.error} />
    </FormDialog>
  );
}
