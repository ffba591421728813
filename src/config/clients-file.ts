/** The file of clients that ask for tokens by their id and secret. It is read at the start and again when it changes. */
import { parse } from 'yaml';
import { z } from 'zod';
import type { TokenClient, TokenClients } from '../configured/identity.ts';

/** Above what a cluster has, below what holds up a start. */
const mostClients = 10_000;
/** What stands in a form, in HTTP Basic and in a log without being escaped. */
export const clientIdPattern = /^[A-Za-z0-9._~@/-]{1,128}$/;

const text = z.string().min(1);
const entry = z.strictObject({
  id: z.string().regex(clientIdPattern, { error: 'must be 1 to 128 letters, digits and ._~@/-' }),
  secret_sha256: z
    .array(z.string().regex(/^[0-9a-f]{64}$/, { error: 'must be a SHA-256 in 64 lower-case hexadecimal digits' }))
    .min(1)
    .max(2, { error: 'at most 2: one in use, and one that takes its place' }),
  roles: z.array(text).min(1),
  agent_role: text.optional(),
  permissions: z.array(text.regex(/^[!#-[\]-~]+$/, { error: 'must be visible ASCII' })).default([]),
  tenant: text.optional(),
});
const file = z.strictObject({ clients: z.array(entry).max(mostClients) });

/**
 * Reads the file of clients.
 *
 * @returns the clients, or every fault of it; a fault never holds a hash
 */
export function readClients(source: string): TokenClients | readonly string[] {
  let tree: unknown;
  try {
    // An alias that stands for another is how a small file becomes a large one.
    tree = parse(source, { maxAliasCount: 0, stringKeys: true, prettyErrors: false });
  } catch {
    return ['is not readable as YAML'];
  }
  const read = file.safeParse(tree);
  if (!read.success)
    return read.error.issues
      .slice(0, 20)
      .map(({ path, message }) => `${path.map(String).join('.') || 'file'}: ${message}`);
  const clients = new Map<string, { client: TokenClient; secrets: readonly Buffer[] }>();
  const faults: string[] = [];
  for (const [
    index,
    { id, roles, agent_role: agentRole, permissions, tenant, ...one },
  ] of read.data.clients.entries()) {
    if (clients.has(id)) faults.push(`clients.${index}.id: stands twice`);
    const secrets = one.secret_sha256.map((hex) => Buffer.from(hex, 'hex'));
    clients.set(id, { client: { id, roles, agentRole, permissions, tenant }, secrets });
  }
  return faults.length > 0 ? faults : clients;
}
