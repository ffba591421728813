/** Which test runs the commands of which paper, and which commands none can run. */
import { type Block, commandLines, shellBlocks } from './blocks.ts';

export interface Runner {
  readonly paper: RegExp;
  /** Only the blocks whose comment begins so; without it those that have none. */
  readonly mark?: string;
  readonly test: string;
}

export const runners: readonly Runner[] = [
  { paper: /^README\.md$/, test: 'test/papers/readme.test.ts' },
  { paper: /^docs\/clients\.md$/, test: 'test/papers/readme.test.ts' },
  { paper: /^docs\/clients\.md$/, mark: 'client', test: 'test/ollama/clients-paper.test.ts' },
  { paper: /^docs\/cli\.md$/, test: 'test/papers/cli.test.ts' },
  { paper: /^docs\/(?:admin|delivery|logs)\.md$/, test: 'test/papers/operations.test.ts' },
  { paper: /^docs\/delivery\.md$/, mark: 'walk', test: 'test/walk/delivery.test.ts' },
  { paper: /^docs\/audit\.md$/, test: 'test/papers/audit.test.ts' },
  { paper: /^docs\/identity\.md$/, test: 'test/papers/identity.test.ts' },
  { paper: /^docs\/kubernetes\.md$/, test: 'test/docs/kubernetes.test.ts' },
  { paper: /^docs\/policies\.md$/, test: 'test/docs/tutorial.test.ts' },
  { paper: /^docs\/(?:policy-library|tls)\.md$/, test: 'test/papers/others.test.ts' },
  { paper: /^(?:opa|policies)\/README\.md$/, test: 'test/papers/checkout.test.ts' },
  { paper: /^templates\/[\w-]+\/README\.md$/, test: 'test/cli/init.test.ts' },
];

/** A line that no test runs as it stands. */
export interface Listed {
  readonly paper: string;
  readonly line: string;
  readonly because: string;
  /** What holds it to the truth all the same, a file that is there. */
  readonly instead: string;
}

const noCluster = 'there is no cluster that would run its pods';

export const listed: readonly Listed[] = [
  { paper: 'README.md', line: 'npm ci', because: 'it replaces what runs the test', instead: '.ci/run' },
  { paper: 'CONTRIBUTING.md', line: 'npm ci', because: 'it replaces what runs the test', instead: '.ci/run' },
  { paper: 'CONTRIBUTING.md', line: 'npm test', because: 'it would run itself', instead: '.ci/run' },
  {
    paper: 'docs/kubernetes.md',
    line: 'docker build --tag opallama:0.1.0 .',
    because: 'no container engine can be had here: its steps are carried out without one',
    instead: 'test/image/image.test.ts',
  },
  ...['kubectl create namespace ollama', 'kubectl apply --kustomize k8s/kustomize/overlays/native-sidecar'].map(
    (line) => ({ paper: 'docs/kubernetes.md', line, because: noCluster, instead: 'test/cluster/manifests.test.ts' }),
  ),
  ...['kubectl --namespace ollama create secret generic opallama', 'helm install ollama k8s/helm/opallama'].map(
    (line) => ({ paper: 'docs/kubernetes.md', line, because: noCluster, instead: 'test/docs/kubernetes.test.ts' }),
  ),
];

/** Scripts of the package that papers name and that are no stage of `.ci/run`: why, or which test has them. */
export const byHand: Readonly<Record<string, string>> = {
  start: 'test/cli/quickstart.test.ts',
  opallama: 'test/papers/readme.test.ts',
  'build:opa': 'test/papers/checkout.test.ts',
  sbom: 'test/package/sbom.test.ts',
  fix: 'it changes the files that are tested: npm run lint says what it would change',
  monitoring: 'it changes the files that are tested: test/docs/monitoring.test.ts calls what it calls',
  'test:soak': 'an hour',
  'test:reload': 'test/delivery/hot-reload.test.ts with more rounds',
  'test:kill': 'test/delivery/kill.test.ts with more rounds',
  'test:audit-kill': 'test/audit/kill.test.ts with more rounds',
  'test:series': 'test/telemetry/series.test.ts with more requests',
  'bench:reload': 'it measures, on a machine that does nothing else',
  'bench:audit': 'it measures, on a machine that does nothing else',
  'bench:framing': 'it measures, on a machine that does nothing else',
  'bench:workers': 'it measures, on a machine that does nothing else',
  'bench:peers': 'it installs seven other gateways: test/bench/bench.test.ts reads its answers',
};

export function isListed(paper: string, line: string): boolean {
  return listed.some((each) => each.paper === paper && line.startsWith(each.line));
}

export function runnerOf({ paper, mark }: Block): Runner | undefined {
  return runners.find(
    (runner) =>
      runner.paper.test(paper) && (runner.mark === undefined ? mark === undefined : mark?.startsWith(runner.mark)),
  );
}

/** The blocks of a paper that a test of this folder runs, without the lines that are listed. */
export function runHere(paper: string): readonly Block[] {
  return shellBlocks(paper)
    .filter((block) => block.mark === undefined)
    .map((block) => {
      const lines = commandLines(block.text);
      const kept = lines.filter((line) => !isListed(paper, line));
      return kept.length === lines.length ? block : { ...block, text: kept.join('\n') };
    })
    .filter(({ text }) => text !== '');
}
