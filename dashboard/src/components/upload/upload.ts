/** Sends a file as the body of a PUT and says how far it is, which `fetch` does not. */

import { problemOf, unreachable } from "@/api/problem";
import { ROOT } from "@/api/root";

interface UploadOptions {
  onProgress: (sent: number) => void;
  signal: AbortSignal;
}

/** `path` is one of REST's: "/v1/models/mdl_1/content". Throws ApiProblem. */
export function uploadFile(path: string, file: File, options: UploadOptions): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", ROOT + path);
    request.setRequestHeader("Content-Type", "application/octet-stream");
    request.upload.onprogress = ({ loaded }) => options.onProgress(loaded);
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(new DOMException("The upload was stopped.", "AbortError"));
    request.onload = () => {
      if (request.status < 300) resolve();
      else void problemOf(responseOf(request)).then(reject);
    };
    options.signal.addEventListener("abort", () => request.abort());
    request.send(file);
  });
}

function responseOf(request: XMLHttpRequest): Response {
  const headers = new Headers();
  const requestId = request.getResponseHeader("X-Request-Id");
  if (requestId !== null) headers.set("X-Request-Id", requestId);
  return new Response(request.responseText, { status: request.status, headers });
}
