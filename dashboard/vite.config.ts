import { fileURLToPath } from "node:url";

import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

const SERVICE = process.env.DISTILL_URL ?? "http://127.0.0.1:8321";

export default defineConfig({
  // Relative addresses: the server writes its path prefix into <base href>.
  base: "./",
  plugins: [react()],
  resolve: { alias: { "@": fileURLToPath(new URL("./src", import.meta.url)) } },
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    // No data: addresses, which the Content-Security-Policy would have to allow.
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rolldownOptions: {
      checks: { bundlerTimings: false },
      output: {
        // Few files: a browser asks an HTTP/1.1 server for six at a time. What pages share is one,
        // apart from what the first page needs, and from charts, which few pages show.
        codeSplitting: {
          groups: [
            { name: "initial", tags: ["$initial"], priority: 1 },
            { name: "shared", test: /\/src\/(?!charts\/)/, minShareCount: 2 },
          ],
        },
      },
    },
  },
  // `npm run dev` shows the pages over a running service.
  server: { proxy: { "/v1": SERVICE, "/docs": SERVICE, "/openapi.json": SERVICE } },
  test: {
    environment: "node",
    include: ["src/**/*.test.{ts,tsx}"],
    css: { modules: { classNameStrategy: "non-scoped" } },
    setupFiles: ["src/test_setup.ts"],
  },
});
