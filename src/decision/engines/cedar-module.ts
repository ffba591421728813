/** Instances of Cedar's WebAssembly module: one for each policy that is loaded, and a new one after a trap. */
import { createRequire } from 'node:module';

import type * as CedarModule from '@cedar-policy/cedar-wasm/nodejs';

export type Cedar = typeof CedarModule;
export type { CedarValueJson, DetailedError, EntityJson, EntityUidJson } from '@cedar-policy/cedar-wasm/nodejs';

const require = createRequire(import.meta.url);

/**
 * What was parsed is kept inside the module by name for ever, and after a trap or an overflow of the stack its memory is in
 * pieces. An instance of one's own is collected with all that it holds, and can be replaced.
 */
export function createCedar(): Cedar {
  const file = require.resolve('@cedar-policy/cedar-wasm/nodejs');
  delete require.cache[file];
  try {
    const cedar: Cedar = require(file);
    return cedar;
  } finally {
    delete require.cache[file];
  }
}

/** What Cedar names an entity by, in one of the two ways of its JSON. */
export interface EntityId {
  readonly type: string;
  readonly id: string;
}

/** One text for one entity. */
export function keyOf({ type, id }: EntityId): string {
  return JSON.stringify([type, id]);
}
