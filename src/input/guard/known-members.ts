import type { RequestType } from '../routes.ts';

/** The members that Ollama knows of one of its Go structs, and what each holds. */
export interface Struct {
  readonly members: ReadonlyMap<string, Struct | undefined>;
}

export const knownMembers: Readonly<Record<RequestType, Struct>> = {
  'ollama.chat': { members: new Map() },
  'ollama.generate': { members: new Map() },
  'openai.chat': { members: new Map() },
};
