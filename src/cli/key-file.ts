/** The file of API keys as operators change it: comments stay, one change at a time, whole or not at all. */
import { chmodSync, closeSync, openSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';

import { Document, isMap, isSeq, parseDocument, type YAMLMap } from 'yaml';

import { errorCode } from '../config/keys.ts';
import { CallError } from '../errors.ts';
import { type ApiKeyEntry, parseApiKeyFile } from '../identity/api-key-file.ts';

const heading = ` API keys, written by "opallama keys": hashes only, the keys themselves are nowhere.`;

/** @throws CallError where there is none, or it can't be used */
export function readKeyFile(path: string): readonly ApiKeyEntry[] {
  return parse(path, read(path) ?? refuse(`${path} can not be read (ENOENT).`));
}

/** @throws CallError before anything is written */
export function addKey(path: string, entry: Readonly<Record<string, unknown>>): void {
  change(path, (document) => {
    const keys = document.get('keys');
    if (isSeq(keys)) {
      keys.flow = false;
      keys.add(document.createNode(entry));
    } else document.set('keys', document.createNode([entry]));
  });
}

/** @throws CallError before anything is written */
export function markRevoked(path: string, id: string, at: Date): void {
  change(path, (document) => {
    const keys = document.get('keys');
    const found = isSeq(keys) ? keys.items.filter(isMap).find((entry) => entry.get('id') === id) : undefined;
    if (found === undefined) throw new CallError(`There is no key ${id} in ${path}; "opallama keys list" has all.`);
    if (found.has('revoked_at'))
      throw new CallError(`The key ${id} was revoked at ${String(found.get('revoked_at'))}.`);
    setMember(found, 'revoked_at', at.toISOString());
  });
}

function setMember(entry: YAMLMap, name: string, value: string): void {
  entry.set(name, value);
}

function change(path: string, edit: (document: Document) => void): void {
  const lock = `${path}.lock`;
  let held: number;
  try {
    held = openSync(lock, 'wx', 0o600);
  } catch (error) {
    if (errorCode(error) !== ' (EEXIST)') throw new CallError(`${lock} can not be written${errorCode(error)}.`);
    throw new CallError(`Another "opallama keys" changes ${path}. If none does, remove ${lock}.`);
  }
  try {
    const bytes = read(path);
    if (bytes !== undefined) parse(path, bytes);
    const document: Document = bytes === undefined ? new Document({ keys: [] }) : parseDocument(bytes.toString('utf8'));
    if (bytes === undefined) document.commentBefore = heading;
    edit(document);
    const text = document.toString({ lineWidth: 0, flowCollectionPadding: false });
    // What the sidecar would refuse is never written.
    parse(path, Buffer.from(text));
    const temporary = `${path}.new`;
    writeFileSync(temporary, text, { mode: 0o600, flush: true });
    // Whoever may read it now goes on reading it.
    if (bytes !== undefined) chmodSync(temporary, statSync(path).mode & 0o777);
    renameSync(temporary, path);
  } catch (error) {
    throw error instanceof CallError ? error : new CallError(`${path} can not be written${errorCode(error)}.`);
  } finally {
    closeSync(held);
    rmSync(lock, { force: true });
  }
}

function read(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch (error) {
    if (errorCode(error) === ' (ENOENT)') return undefined;
    throw new CallError(`${path} can not be read${errorCode(error)}.`);
  }
}

function parse(path: string, bytes: Buffer): readonly ApiKeyEntry[] {
  const parsed = parseApiKeyFile(bytes);
  return typeof parsed === 'string' ? refuse(`${path} ${parsed}.`) : parsed.value;
}

function refuse(message: string): never {
  throw new CallError(message);
}
