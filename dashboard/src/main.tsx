import "@/styles/tokens.css";
import "@/styles/base.css";

import { QueryClientProvider } from "@tanstack/react-query";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { createBrowserRouter } from "react-router";
import { RouterProvider } from "react-router/dom";

import { makeQueryClient } from "@/api/query_client";
import { ROOT } from "@/api/root";
import { sessionQuery } from "@/api/session";
import { ROUTES } from "@/app/routes";

const router = createBrowserRouter(ROUTES, { basename: ROOT || "/" });
const queryClient = makeQueryClient();

// While the page's chunk is loading; who shows the page sees an error, too.
queryClient.query(sessionQuery()).catch(() => undefined);

const container = document.getElementById("root");
if (container !== null) {
  createRoot(container).render(
    <StrictMode>
      <QueryClientProvider client={queryClient}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </StrictMode>,
  );
}
