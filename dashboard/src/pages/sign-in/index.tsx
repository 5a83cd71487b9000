/** Sign in: exchanges an API key for a session. */

import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { useLocation, useNavigate, useSearchParams } from "react-router";

import { ApiProblem } from "@/api/problem";
import { queryKeys } from "@/api/query_keys";
import { ROOT } from "@/api/root";
import { signIn, signInMethodsQuery, type Credential } from "@/api/session";
import type { SignInState } from "@/app/SignedIn";
import { Button, buttonClass } from "@/components/controls/Button";
import { Field } from "@/components/controls/Field";
import { Brand } from "@/components/marks/Icon";

import { safeNext } from "./safe_next";
import styles from "./sign-in.module.css";

export default function SignInPage() {
  const { hasEnded = false } = (useLocation().state ?? {}) as Partial<SignInState>;
  useEffect(() => {
    document.title = "Sign in · Distill";
  }, []);
  return (
    <main className={styles.gate}>
      <div className={styles.box}>
        <span className={styles.brand}>
          <Brand />
          Distill
        </span>
        <div>
          <h1>Sign in</h1>
          <p className="mid" role={hasEnded ? "alert" : undefined}>
            {hasEnded
              ? "Your session has ended: its key was revoked, or it has expired. Sign in, and go on where you were."
              : "Robust distillation: jobs, models, reports."}
          </p>
        </div>
        <KeyForm />
        <SingleSignOn />
        <p className={styles.note}>
          On the machine that runs Distill, <span className="mono">distill dashboard</span> opens a
          page that is signed in already. The key is exchanged for a session and is not kept in the
          browser.
        </p>
      </div>
    </main>
  );
}

function KeyForm() {
  const [key, setKey] = useState("");
  const entry = useSignIn();
  useSignInAddress(entry.mutate);
  const submit = (event: React.SubmitEvent) => {
    event.preventDefault();
    if (key.trim() !== "") entry.mutate({ key: key.trim() });
  };
  return (
    <form onSubmit={submit}>
      <Field
        label="API key"
        mono
        type="password"
        name="key"
        autoComplete="current-password"
        required
        // eslint-disable-next-line jsx-a11y/no-autofocus -- the only field of the page
        autoFocus
        value={key}
        onChange={(event) => setKey(event.target.value)}
        error={entry.error === null ? undefined : sentenceOf(entry.error, entry.variables)}
      />
      <Button kind="primary" type="submit" disabled={entry.isPending}>
        Sign in
      </Button>
    </form>
  );
}

/** Sends a key or a token, and leads to the page that was wanted. */
function useSignIn() {
  const [parameters] = useSearchParams();
  const navigate = useNavigate();
  const client = useQueryClient();
  return useMutation({
    mutationFn: signIn,
    onSuccess: async (session) => {
      client.clear(); // of whoever was signed in before
      client.setQueryData(queryKeys.session(), session);
      await navigate(safeNext(parameters.get("next")), { replace: true });
    },
  });
}

/** The address that the command prints signs in by itself: /sign-in#token=… */
function useSignInAddress(enter: (credential: Credential) => void): void {
  const { hash, pathname, search } = useLocation();
  const navigate = useNavigate();
  useEffect(() => {
    const token = new URLSearchParams(hash.slice(1)).get("token");
    if (token === null) return;
    // It is good for one use: out of the address and of the browser's history.
    void navigate(pathname + search, { replace: true });
    enter({ token });
  }, [enter, hash, navigate, pathname, search]);
}

function SingleSignOn() {
  const methods = useQuery(signInMethodsQuery()).data?.methods ?? [];
  const [parameters] = useSearchParams();
  const next = encodeURIComponent(safeNext(parameters.get("next")));
  if (!methods.includes("oidc")) return null;
  return (
    <>
      <p className={styles.or}>or</p>
      <a className={buttonClass()} href={`${ROOT}/v1/session/oidc?return_to=${next}`}>
        Continue with single sign-on
      </a>
    </>
  );
}

function sentenceOf(error: Error, credential: Credential | undefined): string {
  if (!(error instanceof ApiProblem) || error.status !== 401) return error.message;
  return credential?.token == null
    ? "This key is not known here, or was revoked."
    : "This sign-in address was used before, or is older than ten minutes.";
}
