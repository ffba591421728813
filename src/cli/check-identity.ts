/** The files of the section `identity` that are read beside the configuration: keys of callers, clients, what was revoked. */
import { readClients } from '../config/clients-file.ts';
import type { Environment } from '../config/environment.ts';
import { errorCode } from '../config/keys.ts';
import type { Config } from '../configured/config.ts';
import { parseApiKeyFile } from '../identity/api-key-file.ts';
import { parseRevocations } from '../identity/revocations.ts';

/** @returns every fault, each with its file; `serve` would end with it */
export function findIdentityFaults(
  { apiKeysFile, revocationsFile, tokenEndpoint }: Config['identity'],
  { readFile }: Pick<Environment, 'readFile'>,
): readonly string[] {
  const files: readonly (readonly [string | undefined, (bytes: Uint8Array) => readonly string[]])[] = [
    [apiKeysFile, (bytes) => textOf(parseApiKeyFile(bytes))],
    [revocationsFile, (bytes) => textOf(parseRevocations(bytes))],
    [
      tokenEndpoint?.clientsFile,
      (bytes) => {
        const read = readClients(Buffer.from(bytes).toString('utf8'));
        return read instanceof Map ? [] : [...read].map(String);
      },
    ],
  ];
  return files.flatMap(([path, check]) => {
    if (path === undefined) return [];
    try {
      return check(readFile(path)).map((fault) => `${path}: ${fault}`);
    } catch (error) {
      return [`${path}: cannot be read${errorCode(error)}`];
    }
  });
}

function textOf(parsed: string | object): readonly string[] {
  return typeof parsed === 'string' ? [parsed] : [];
}
