import { useQuery } from "@tanstack/react-query";

import { StatusMark } from "@/components/marks/Status";
import { Section } from "@/components/page/Section";
import { KeyValues } from "@/components/page/Tally";
import { QueryState } from "@/components/states/QueryState";

import { readinessQuery } from "./data";

/** What the service itself says of its parts. */
export function Health() {
  const readiness = useQuery(readinessQuery);
  return (
    <Section title="Health">
      <QueryState query={readiness}>
        {({ database, objects }) => (
          <KeyValues
            facts={[
              { label: "Database", value: <Responds text={database} /> },
              { label: "Object store", value: <Responds text={objects} /> },
            ]}
          />
        )}
      </QueryState>
    </Section>
  );
}

function Responds({ text }: { text: string }) {
  return (
    <StatusMark icon="succeeded" tone="ok">
      {text === "ok" ? "Responds" : text}
    </StatusMark>
  );
}
