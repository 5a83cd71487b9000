import { Button } from "@/components/controls/Button";

import styles from "./access.module.css";

interface MoreQuery {
  hasNextPage: boolean;
  isFetchingNextPage: boolean;
  fetchNextPage: () => Promise<unknown>;
}

/** The next page of a list, below the ones that are shown. */
export function MoreButton({ query, noun }: { query: MoreQuery; noun: string }) {
  if (!query.hasNextPage) return null;
  return (
    <p className={styles.more}>
      <Button onClick={() => void query.fetchNextPage()} disabled={query.isFetchingNextPage}>
        More {noun}
      </Button>
    </p>
  );
}
