/** Creates an item, then sends its file. A failed upload may be sent again to the same item. */

import { useMutation, type UseMutationResult } from "@tanstack/react-query";
import { useEffect, useRef, useState } from "react";

import { uploadFile } from "./upload";

export interface UploadInput {
  /** Creates the item and returns its id. */
  create: () => Promise<string>;
  /** REST's path of the item's content. */
  contentPath: (id: string) => string;
  file: File | undefined;
}

export interface Upload {
  mutation: UseMutationResult<string, Error, UploadInput>;
  /** Bytes that were sent; undefined before the first. */
  sent: number | undefined;
  /** The item exists already: what describes it can no longer be changed. */
  isCreated: boolean;
}

/** `onDone` gets the item's id when all is sent. */
export function useUpload(onDone: (id: string) => void): Upload {
  const [sent, setSent] = useState<number>();
  const [created, setCreated] = useState<string>();
  const abort = useRef<AbortController>(undefined);
  useEffect(() => () => abort.current?.abort(), []);
  const mutation = useMutation({
    mutationFn: async ({ create, contentPath, file }: UploadInput) => {
      const id = created ?? (await create());
      setCreated(id);
      if (file === undefined) return id;
      abort.current = new AbortController();
      const { signal } = abort.current;
      await uploadFile(contentPath(id), file, { onProgress: setSent, signal });
      return id;
    },
    onSuccess: onDone,
    onError: () => setSent(undefined),
  });
  return { mutation, sent, isCreated: created !== undefined };
}
