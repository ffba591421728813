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

const goMod = readFileSync(new URL('../opa/go.mod', import.meta.url), 'utf8');
const modules = [...goMod.matchAll(/^(?:\t|require )(\S+) (v\S+)(?: \/\/ indirect)?$/gm)].map(
  ([, module = '', tag = '']) => ({
    'bom-ref': `pkg:golang/${module}@${tag}`,
    type: 'library',
    name: module,
    version: tag,
    scope: 'required',
    purl: `pkg:golang/${module}@${tag}`,
  }),
);
document.components.push(...modules);
process.stdout.write(`${JSON.stringify(document, null, 2)}\n`);
