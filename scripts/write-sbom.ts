/**
 * Prints what the package is made of as CycloneDX 1.5: the packages that npm installs with it, and the Go modules that are
 * compiled into opa/build/opa.wasm.
 *
 *     node scripts/write-sbom.ts > sbom.json
 */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../', import.meta.url));
const document = JSON.parse(
  execFileSync('npm', ['sbom', '--sbom-format=cyclonedx', '--package-lock-only'], {
    cwd: root,
    encoding: 'utf8',
    maxBuffer: 1 << 26,
  }),
);

// `--omit=dev` of npm 11 leaves out what a package of development needs too, zod for one; its marks are right.
interface Component {
  readonly 'bom-ref': string;
  readonly properties: readonly { readonly name: string }[];
}
const isShipped = ({ properties }: Component): boolean =>
  !properties.some(({ name }) => name === 'cdx:npm:package:development');
document.components = document.components.filter(isShipped);
const refs = new Set(document.components.map((each: Component) => each['bom-ref']));

// npm names it after the directory that the checkout lies in.
const { name, version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const { component } = document.metadata;
const formerRef = component['bom-ref'];
Object.assign(component, { name, 'bom-ref': `${name}@${version}`, purl: `pkg:npm/${name}@${version}` });
document.dependencies = document.dependencies
  .filter(({ ref }: { ref: string }) => ref === formerRef || refs.has(ref))
  .map(({ ref, dependsOn }: { ref: string; dependsOn: readonly string[] }) => ({
    ref: ref === formerRef ? component['bom-ref'] : ref,
    dependsOn: dependsOn.filter((each) => refs.has(each)),
  }));

/** What is compiled in, less than go.mod names; and Go's own library, in which faults are found too. */
function goModules(): readonly (readonly [module: string, version: string])[] {
  const go = (...args: readonly string[]): string =>
    execFileSync('go', args, {
      cwd: fileURLToPath(new URL('../opa/', import.meta.url)),
      encoding: 'utf8',
      env: { ...process.env, CGO_ENABLED: '0', GOFLAGS: '', GOWORK: 'off', GOOS: 'wasip1', GOARCH: 'wasm' },
    }).trim();
  try {
    const format = '{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}';
    const lines = new Set(go('list', '-deps', '-f', format, '.').split('\n'));
    const modules = [...lines].filter((line) => line !== '').map((line) => line.split(' '));
    const own: (readonly [string, string])[] = modules.map(([module = '', version = '']) => [module, version]);
    return [...own.sort(), ['stdlib', go('env', 'GOVERSION').replace(/^go/, '')]];
  } catch (error) {
    const isMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
    if (!isMissing) throw error;
    process.stderr.write('Go is needed to tell what opa.wasm is made of: install Go 1.21 or newer.\n');
    process.exit(1);
  }
}

const modules = goModules().map(([name, tag]) => {
  const purl = `pkg:golang/${name}@${tag}`;
  return { 'bom-ref': purl, type: 'library', name, version: tag, scope: 'required', purl };
});
document.components.push(...modules);
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
