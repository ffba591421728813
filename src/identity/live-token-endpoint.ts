/** What the token endpoint gives tokens by, with its files: the clients, and the key that signs. Both may change meanwhile. */
import type { KeyObject } from 'node:crypto';

import type { TokenClients, TokenEndpointConfig } from '../configured/identity.ts';
import { type ConfiguredVerifier, createConfiguredVerifier, ownTokens } from './configured-key.ts';
import { createTokenGrant, type TokenGrant } from './grant-token.ts';
import { type WatchedFile, type WatchedFileOptions, watchFile } from './watched-file.ts';

interface KeyPair {
  readonly signs: KeyObject;
  readonly verifies: KeyObject;
}

export interface TokenEndpointOptions extends Pick<WatchedFileOptions<never>, 'onReload' | 'everyMs'> {
  /** Reads the key anew that tokens are signed with; a text where it can't be used. */
  readonly readSigningKey: (endpoint: TokenEndpointConfig, bytes: Buffer) => KeyPair | string;
  /** Reads the file of clients; faults never hold a hash. */
  readonly readClients: (text: string) => TokenClients | readonly string[];
  /** Told of a token request for a client that there is. */
  readonly onWrongSecret: (clientId: string) => void;
}

export interface LiveTokenEndpoint {
  readonly tokens: TokenGrant;
  /** Of the tokens that it gives. */
  readonly verifier: ConfiguredVerifier;
  readonly files: readonly WatchedFile<unknown>[];
}

/**
 * @param graceMs how long tokens of a key count that was exchanged
 * @throws ConfigError for a file that can't be used
 */
export function startTokenEndpoint(
  config: TokenEndpointConfig,
  graceMs: number,
  { readSigningKey, readClients, onWrongSecret, ...watching }: TokenEndpointOptions,
): LiveTokenEndpoint {
  const verifier = createConfiguredVerifier(ownTokens(config), graceMs);
  const clients = watchFile<TokenClients>({
    ...watching,
    source: 'clients',
    path: config.clientsFile,
    parse(bytes) {
      const read = readClients(bytes.toString('utf8'));
      return read instanceof Map ? { value: read } : `has faults: ${[...read].join('; ')}`;
    },
    apply: () => {},
  });
  const key = config.source.member === 'secret_env' ? undefined : watchKey();
  // The file may have changed since the configuration was read.
  if (key !== undefined) verifier.replace(key.value.verifies);
  return {
    tokens: createTokenGrant(
      config,
      () => clients.value,
      onWrongSecret,
      () => key?.value.signs ?? config.signingKey,
    ),
    verifier,
    files: [clients, ...(key === undefined ? [] : [key])],
  };

  function watchKey(): WatchedFile<KeyPair> {
    return watchFile<KeyPair>({
      ...watching,
      source: 'token_key',
      path: config.source.value,
      parse(bytes) {
        const pair = readSigningKey(config, bytes);
        return typeof pair === 'string' ? pair : { value: pair };
      },
      apply: ({ verifies }) => verifier.replace(verifies),
    });
  }
}
