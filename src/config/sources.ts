import { dirname, relative, resolve } from 'node:path';
import { readDocument } from './document.ts';
import type { Environment } from './environment.ts';
import { describeUnknown, type Fault, type Place } from './faults.ts';
import { errorCode } from './keys.ts';
import { isMap, type Layers, markPlace, overlay } from './layers.ts';
import { memberAt } from './members.ts';
import { readText, readVariables } from './variables.ts';

/** A command-line flag that sets a member of the configuration. */
export interface Flag {
  /** As the user types it, `--policy`. */
  readonly name: string;
  /** Of the member, `policy.path`. */
  readonly path: string;
  /** `undefined`: not given. Text is read as in the environment; maps are merged, lists replace. */
  readonly value: unknown;
}

export interface ConfigSources extends Environment {
  /** The file that `--config` names; undefined: `opallama.yaml` in `cwd` if it is there. */
  readonly file: string | undefined;
  readonly flags: readonly Flag[];
}

export interface MergedSources {
  readonly layers: Layers;
  /** The directory that paths in the file are relative to. */
  readonly directory: string;
  /** The file as a whole, for faults that are about nothing in particular. */
  readonly whole: Place;
  readonly faults: readonly Fault[];
  /** False where the file can't be read: what it would have set is then unknown. */
  readonly readable: boolean;
}

const defaultFile = 'opallama.yaml';
const lastInFile = 1e12;

/** Reads file, environment and flags, and lays them over one another in that order. */
export function mergeSources(sources: ConfigSources): MergedSources {
  const base = readConfigFile(sources);
  const faults = [...base.faults];
  let { layers } = base;

  const lay = (path: readonly (string | number)[], value: unknown, place: Place): void => {
    const laid = overlay(layers, path, value, place);
    if (laid === undefined) faults.push({ place, path, text: 'leaves a gap in the list; items count from 0' });
    else layers = laid;
  };

  const variables = readVariables(sources.env, secretNames(layers.tree));
  for (const variable of variables) {
    if ('path' in variable)
      lay(variable.path, variable.value, { kind: 'variable', label: variable.name, order: lastInFile });
  }
  // A variable may itself bring the secret_env that names another one.
  const secrets = secretNames(layers.tree);
  for (const variable of variables) {
    if ('path' in variable || secrets.has(variable.name)) continue;
    faults.push({
      place: { kind: 'variable', label: variable.name, order: lastInFile },
      path: [],
      text: variable.fault,
    });
  }

  for (const flag of sources.flags) {
    if (flag.value === undefined) continue;
    const place: Place = { kind: 'flag', label: flag.name, order: lastInFile + 1 };
    const path = flag.path.split('.').map((part) => (/^\d{1,3}$/.test(part) ? Number(part) : part));
    if (memberAt(path) === undefined) faults.push({ place, path, text: describeUnknown(path) });
    else if (typeof flag.value !== 'string') lay(path, flag.value, place);
    else {
      const { value, fault } = readText(flag.value, path);
      if (fault === undefined) lay(path, value, place);
      else faults.push({ place, path, text: fault });
    }
  }
  return { ...base, layers, faults };
}

function readConfigFile({ file, cwd, readFile }: ConfigSources): MergedSources {
  const path = resolve(cwd, file ?? defaultFile);
  const near = relative(cwd, path);
  const label = near === '' || near.startsWith('..') ? path : near;
  const whole: Place = { kind: 'file', label, order: 0 };
  const empty = {
    layers: { tree: {}, places: new Map() },
    directory: dirname(path),
    whole,
    faults: [],
    readable: true,
  };
  const unreadable = (text: string): MergedSources => ({
    ...empty,
    faults: [{ place: whole, path: [], text }],
    readable: false,
  });

  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(readFile(path));
  } catch (error) {
    if (error instanceof TypeError) return unreadable('is not UTF-8');
    if (file === undefined && error instanceof Error && 'code' in error && error.code === 'ENOENT') {
      return { ...empty, directory: cwd, whole: { kind: 'none', label: 'configuration', order: 0 } };
    }
    return unreadable(`cannot be read${errorCode(error)}`);
  }

  const document = readDocument(text);
  const placeAt = ({ line, column }: { line: number; column: number }): Place => ({
    kind: 'file',
    label: `${label}:${line}:${column}`,
    order: line * 10_000 + Math.min(column, 9_999),
  });
  if (document.faults.length > 0) {
    const faults = document.faults.map((fault) => ({ place: placeAt(fault.position), path: [], text: fault.text }));
    return { ...empty, faults, readable: false };
  }
  if (document.tree === null) return empty;
  if (!isMap(document.tree)) return unreadable('must be a map of members, such as "listen:" and what belongs to it');
  const layers = document.places.reduce<Layers>(
    (marked, { path: member, position }) => markPlace(marked, member, placeAt(position)),
    { tree: document.tree, places: new Map() },
  );
  return { ...empty, layers };
}

/** The members that name a variable with a secret. */
const secretMembers: ReadonlySet<string> = new Set(['secret_env', 'token_env', 'key_env']);

/** The variables that hold secrets: whatever stands in them is not configuration. */
function secretNames(tree: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  const look = (value: unknown, depth: number): void => {
    if (typeof value !== 'object' || value === null || depth === 0) return;
    for (const [member, child] of Object.entries(value)) {
      if (typeof child === 'string' && secretMembers.has(member)) names.add(child);
      else look(child, depth - 1);
    }
  };
  // No member stands deeper.
  look(tree, 8);
  return names;
}
