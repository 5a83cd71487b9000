import { useQueryClient } from "@tanstack/react-query";
import { useNavigate } from "react-router";

import { signOut, type Session } from "@/api/session";

import styles from "./Shell.module.css";
import { useTheme, type Theme } from "./theme";

const NEXT: Record<Theme, Theme> = { system: "light", light: "dark", dark: "system" };
const NAMES: Record<Theme, string> = { system: "System", light: "Light", dark: "Dark" };

/** Whose page it is, its theme, and the way out. */
export function AccountMenu({ session }: { session: Session }) {
  const [theme, setTheme] = useTheme();
  const client = useQueryClient();
  const navigate = useNavigate();
  const leave = async () => {
    await signOut();
    await navigate("/sign-in");
    client.clear();
  };
  return (
    <>
      <span className={styles.who}>
        Project {session.project}
        <br />
        {session.key_name === null ? session.subject : `Key ${session.key_name}`}
      </span>
      <span className={styles.settings}>
        <button type="button" onClick={() => setTheme(NEXT[theme])}>
          Theme<span className="vh">: {NAMES[theme]}</span>
          <span className="hide-phone" aria-hidden="true">
            : {NAMES[theme]}
          </span>
        </button>
        <button type="button" onClick={() => void leave()}>
          Sign out
        </button>
      </span>
    </>
  );
}
