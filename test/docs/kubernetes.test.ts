/** The commands of docs/kubernetes.md, as far as they go without a cluster and a container engine. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { chartRoot, helm, kubectl, noHelm, noKustomize, overlays } from '../support/kubernetes/render.ts';
import { codes, readPaper, root, tableRows } from './papers.ts';

const paper = readPaper('docs/kubernetes.md');
const blocks = [...paper.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, text = '']) => text);
const commands = blocks.flatMap((text) => text.replaceAll('\\\n', ' ').trimEnd().split('\n'));
const commandsOf = (pattern: RegExp) => commands.filter((line) => pattern.test(line));

function run(line: string) {
  const { status, stdout, stderr } = spawnSync('sh', ['-c', line.replace(/^kubectl /, `"${kubectl}" `)], {
    cwd: root,
    encoding: 'utf8',
    timeout: 60_000,
  });
  assert.equal(status, 0, `${line}\n${stderr}`);
  return stdout;
}

test('every command of the paper is of a kind that is tried here', () => {
  const kinds = [
    /^docker build /,
    /^kubectl create /,
    /^kubectl --namespace ollama create /,
    /^kubectl apply --kustomize /,
    /^helm install /,
  ];
  assert.equal(commands.length, kinds.length);
  for (const kind of kinds) assert.equal(commandsOf(kind).length, 1, String(kind));
});

test('docker build has the Dockerfile that npm run test:image carries out', () => {
  const [line] = commandsOf(/^docker/);
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  assert.equal(line, `docker build --tag opallama:${version} .`);
  assert.ok(existsSync(join(root, 'Dockerfile')));
});

test('the Secret that the paper makes has the keys that the manifests name', { skip: noKustomize }, () => {
  const [namespace = '', secret = ''] = commandsOf(/^kubectl .*create/);
  assert.match(run(`${namespace} --dry-run=client --output=yaml --validate=false`), /name: ollama/);
  const made = run(`${secret} --dry-run=client --output=yaml --validate=false`);
  const named = readFileSync(join(root, 'k8s/kustomize/base/opallama.yaml'), 'utf8');
  const files = [...named.matchAll(/\/run\/secrets\/opallama\/(\S+?)\s*(?:[,}\n])/g)].map(([, file = '']) => file);
  assert.deepEqual(files.toSorted(), ['admin-token', 'drain-token', 'jwt-secret']);
  for (const file of files) assert.match(made, new RegExp(`^ {2}${file}: \\S{60,}$`, 'm'));
});

test('the overlay that the paper applies is one', { skip: noKustomize }, () => {
  const [line = ''] = commandsOf(/^kubectl apply/);
  assert.match(run(line.replace('apply --kustomize', 'kustomize')), /kind: Deployment/);
});

test('the chart that the paper installs renders with the values that it sets', { skip: noHelm }, () => {
  const [line = ''] = commandsOf(/^helm/);
  const rendered = run(line.replace('helm install', `"${helm}" template`));
  assert.match(rendered, /image: registry\.example\/opallama:/);
});

test('the paper lists every overlay, and no other', () => {
  assert.deepEqual(
    tableRows(paper, 'With Kustomize')
      .map(([overlay]) => codes(overlay)[0])
      .toSorted(),
    overlays,
  );
  assert.ok(readdirSync(chartRoot).includes('values.yaml'));
});
