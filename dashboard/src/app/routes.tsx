/** Every page and its address. Each but the first is a chunk of its own, loaded when it is opened. */

import type { RouteObject } from "react-router";

import OverviewPage from "@/pages/overview";

import { NotFound } from "./NotFound";
import { PageFailure } from "./PageFailure";
import { SignedIn } from "./SignedIn";

type PageModule = Promise<{ default: React.ComponentType }>;

function page(path: string, load: () => PageModule): RouteObject {
  return { path, lazy: async () => ({ Component: (await load()).default }) };
}

const PAGES: RouteObject[] = [
  { index: true, Component: OverviewPage },
  page("jobs", () => import("@/pages/jobs")),
  page("jobs/:id", () => import("@/pages/job")),
  page("compare", () => import("@/pages/compare")),
  page("sweeps", () => import("@/pages/sweeps")),
  page("sweeps/:id", () => import("@/pages/sweep")),
  page("models", () => import("@/pages/models")),
  page("models/:id", () => import("@/pages/model")),
  page("datasets", () => import("@/pages/datasets")),
  page("datasets/:id", () => import("@/pages/dataset")),
  page("submit", () => import("@/pages/submit")),
  page("operate", () => import("@/pages/operate")),
  { path: "*", Component: NotFound },
];

export const ROUTES: RouteObject[] = [
  {
    ErrorBoundary: PageFailure,
    HydrateFallback: () => null,
    children: [
      page("sign-in", () => import("@/pages/sign-in")),
      {
        Component: SignedIn,
        // A page that fails leaves the navigation usable.
        children: [{ ErrorBoundary: PageFailure, children: PAGES }],
      },
    ],
  },
];
