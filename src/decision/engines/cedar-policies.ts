/** The files of a Cedar policy, read and checked: policies, schema, entities. Every fault with its place. */
import { PolicyError, type PolicyFault } from '../../errors.ts';
import { actionNames, actionType, namespace } from './cedar-actions.ts';
import { readAnnotations, type Statement } from './cedar-annotations.ts';
import { types } from './cedar-entities.ts';
import { readEntities } from './cedar-entities-file.ts';
import type { Cedar, DetailedError, EntityId, EntityJson } from './cedar-module.ts';
import { contextMembers } from './cedar-values.ts';
import { type Mention, mentionsOf } from './cedar-walk.ts';

export interface CedarPolicies {
  /** Policy texts by id. */
  readonly texts: Readonly<Record<string, string>>;
  readonly statements: ReadonlyMap<string, Statement>;
  /** Attributes of `context` that policies read. */
  readonly context: readonly string[];
  readonly claims: boolean;
  /** Entities whose attributes or parents policies may ask for by name. */
  readonly followed: readonly EntityId[];
  readonly entities: readonly EntityJson[];
}

interface Place {
  readonly file: string;
  /** Of the policy in the file. */
  readonly start: number;
  readonly text: string;
}

/**
 * `*.cedar`, one `*.cedarschema` or `*.cedarschema.json`, and `entities.json`, at any depth. Other files are not looked at.
 *
 * @throws PolicyError
 */
export function readCedarPolicies(cedar: Cedar, files: ReadonlyMap<string, Uint8Array>): CedarPolicies {
  const faults: PolicyFault[] = [];
  const texts: Record<string, string> = {};
  const places = new Map<string, Place>();
  const statements = new Map<string, Statement>();
  const mentions: Mention[] = [];

  for (const [file, text] of textsOf(files, /\.cedar$/, faults)) {
    for (const [index, place] of split(cedar, file, text, faults).entries()) {
      const parsed = cedar.policyToJson(place.text);
      if (parsed.type === 'failure') {
        faults.push(...parsed.errors.map((error) => toFault('cedar_parse', error, place, text)));
        continue;
      }
      const { annotations = {}, effect } = parsed.json;
      const report = (code: string) => (message: string) =>
        void faults.push(faultAt(code, message, file, text, place.start));
      const id = annotations['id'] ?? `${file}#${index}`;
      if (places.has(id)) report('cedar_duplicate')(`another policy has the id ${JSON.stringify(id)}`);
      texts[id] = place.text;
      places.set(id, place);
      statements.set(id, readAnnotations(effect, annotations, report('cedar_annotation')));
      const mention = mentionsOf(parsed.json);
      mentions.push(mention);
      checkMentions(mention, report('cedar_unknown'));
    }
  }
  if (faults.length === 0 && places.size === 0) throw new PolicyError('There is no .cedar file with a policy in it.');

  const schema = readSchema(cedar, files, faults);
  const entities = readEntities(cedar, textsOf(files, /(?:^|\/)entities\.json$/, faults), schema, faults);
  if (schema !== undefined && faults.length === 0) validate(cedar, schema, texts, places, files, faults);
  if (faults.length > 0) throw new PolicyError('The Cedar policy has faults.', faults);

  const read = new Set(mentions.flatMap(({ context }) => context ?? contextMembers));
  return {
    texts,
    statements,
    context: [...read],
    claims: mentions.some(({ claims }) => claims),
    followed: mentions.flatMap(({ followed }) => followed),
    entities,
  };
}

function textsOf(
  files: ReadonlyMap<string, Uint8Array>,
  name: RegExp,
  faults: PolicyFault[],
): Array<readonly [string, string]> {
  return [...files].flatMap(([file, bytes]) => {
    if (!name.test(file)) return [];
    try {
      return [[file, new TextDecoder('utf-8', { fatal: true }).decode(bytes)] as const];
    } catch {
      faults.push({ code: 'cedar_parse', message: 'is not UTF-8', file, row: undefined, column: undefined });
      return [];
    }
  });
}

/** The policies of a file, in its order. Templates are refused: nothing here would fill them in. */
function split(cedar: Cedar, file: string, text: string, faults: PolicyFault[]): readonly Place[] {
  const parts = guard(() => cedar.policySetTextToParts(text));
  if (parts === undefined || parts.type === 'failure') {
    const whole = { file, start: 0, text };
    if (parts === undefined) faults.push(faultAt('cedar_parse', 'is nested too deeply', file, text, 0));
    else faults.push(...parts.errors.map((error) => toFault('cedar_parse', error, whole, text)));
    return [];
  }
  const find = (part: string): number => Math.max(text.indexOf(part), 0);
  for (const template of parts.policy_templates)
    faults.push(faultAt('cedar_template', 'templates are not supported; write a policy', file, text, find(template)));
  const places: Place[] = [];
  for (const part of parts.policies) {
    // The same text may stand in a file twice.
    const before = places.filter((place) => place.text === part).map(({ start }) => start);
    const start = Math.max(before.length === 0 ? find(part) : text.indexOf(part, Math.max(...before) + 1), 0);
    places.push({ file, start, text: part });
  }
  return places.toSorted((a, b) => a.start - b.start);
}

/** Without a schema nobody else says that a name is unknown, and a forbid of it would never forbid. */
function checkMentions({ context, literals, entityTypes }: Mention, report: (message: string) => void): void {
  for (const attribute of context ?? []) {
    if (!contextMembers.includes(attribute))
      report(`context has no ${JSON.stringify(attribute)}; docs/cedar.md lists what it has`);
  }
  for (const { type, id } of literals) {
    if (type === actionType && !actionNames.has(id)) report(`there is no action ${actionType}::${JSON.stringify(id)}`);
  }
  const known: readonly string[] = [...Object.values(types), actionType];
  for (const type of entityTypes) {
    if (!type.includes('::') && [...known, namespace].includes(`${namespace}::${type}`))
      report(`write ${namespace}::${type}; the type ${type} alone is another one`);
  }
}

function readSchema(cedar: Cedar, files: ReadonlyMap<string, Uint8Array>, faults: PolicyFault[]): string | undefined {
  const found = textsOf(files, /\.cedarschema(?:\.json)?$/, faults);
  const [first, second] = found;
  if (first === undefined) return undefined;
  const [file, text] = first;
  if (second !== undefined)
    faults.push(faultAt('cedar_schema', `there is another schema, ${second[0]}; one holds for all`, file, text, 0));
  const schema = file.endsWith('.json') ? toText(cedar, file, text, faults) : text;
  if (schema === undefined) return undefined;
  const checked = guard(() => cedar.checkParseSchema(schema));
  if (checked === undefined) faults.push(faultAt('cedar_schema', 'is nested too deeply', file, text, 0));
  else if (checked.type === 'failure')
    faults.push(
      ...checked.errors.map((error) => toFault('cedar_schema', error, { file, start: 0, text: schema }, text)),
    );
  return checked?.type === 'success' ? schema : undefined;
}

/** One form for all that follows. */
function toText(cedar: Cedar, file: string, text: string, faults: PolicyFault[]): string | undefined {
  try {
    const answer = cedar.schemaToText(JSON.parse(text));
    if (answer.type === 'success') return answer.text;
    for (const error of answer.errors) faults.push(faultAt('cedar_schema', describe(error), file, text, 0));
  } catch (error) {
    faults.push(faultAt('cedar_schema', error instanceof Error ? error.message : 'cannot be read', file, text, 0));
  }
  return undefined;
}

/** Warnings are faults: a forbid that can never apply forbids nothing. */
function validate(
  cedar: Cedar,
  schema: string,
  texts: CedarPolicies['texts'],
  places: ReadonlyMap<string, Place>,
  files: ReadonlyMap<string, Uint8Array>,
  faults: PolicyFault[],
): void {
  const answer = guard(() => cedar.validate({ schema, policies: { staticPolicies: texts } }));
  if (answer === undefined || answer.type === 'failure') {
    const message =
      answer === undefined ? 'cannot be validated' : answer.errors.map((error) => describe(error)).join('; ');
    faults.push({ code: 'cedar_invalid', message, file: undefined, row: undefined, column: undefined });
    return;
  }
  const seen = new Set(answer.validationErrors.map(({ policyId }) => policyId));
  const warnings = answer.validationWarnings.filter(({ policyId }) => !seen.has(policyId));
  for (const { policyId, error } of [...answer.validationErrors, ...warnings]) {
    const place = places.get(policyId);
    if (place === undefined) continue;
    const fault = toFault('cedar_invalid', error, place, Buffer.from(files.get(place.file) ?? []).toString('utf8'));
    faults.push({ ...fault, message: fault.message.replace(/^for policy `[^`]*`, /, '') });
  }
}

/** @param whole the text of the file that the policy stands in */
function toFault(code: string, error: DetailedError, { file, start, text }: Place, whole: string): PolicyFault {
  const [at] = error.sourceLocations ?? [];
  // Cedar counts bytes of what it was given.
  const before = at === undefined ? 0 : Buffer.from(text).subarray(0, at.start).toString('utf8').length;
  return faultAt(code, describe(error, at?.label), file, whole, start + before);
}

function describe({ message, help }: DetailedError, label?: string | null): string {
  return [message, label ?? undefined, help ?? undefined].filter((part) => part !== undefined).join('; ');
}

/** @param at in UTF-16 units */
function faultAt(code: string, message: string, file: string, text: string, at: number): PolicyFault {
  const lines = text.slice(0, at).split('\n');
  return { code, message, file, row: lines.length, column: (lines.at(-1)?.length ?? 0) + 1 };
}

/** What is nested too deeply overflows the module's stack. */
function guard<Answer>(ask: () => Answer): Answer | undefined {
  try {
    return ask();
  } catch {
    return undefined;
  }
}
