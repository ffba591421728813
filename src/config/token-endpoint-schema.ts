/** The section `identity.token_endpoint`: clients that get tokens by their id and secret, and what those are signed with. */
import { z } from 'zod';

import { jwtAlgorithms } from '../jwt-algorithms.ts';
import { duration, name, secretSources } from './fields.ts';

const keyMembers = {
  algorithm: z.enum(jwtAlgorithms).describe('What tokens are signed with.'),
  ...secretSources,
  private_key_file: name().optional().describe('For RS, PS and ES: the private key in PEM, not encrypted.'),
};

/** What the key is made from; read alone, so a fault elsewhere hides no fault of the key. */
export const signingKeySchema = z.object(keyMembers);
export type SigningKeyMembers = z.output<typeof signingKeySchema>;

const rate = (perMinute: number) => z.int().min(1).max(100_000).default(perMinute);

export const tokenEndpoint = z
  .strictObject({
    ...keyMembers,
    clients_file: name().describe('The clients; made with "opallama client".'),
    kid: name().default('opallama-token').describe('Stands in the header of each token.'),
    issuer: name().describe('iss of the tokens.'),
    audience: name().describe('aud of the tokens.'),
    expires: duration().prefault('15m').describe('How long a token is valid, 1m to 24h.'),
    requests_per_client: rate(60).describe('Tokens for one client in a minute.'),
    requests_per_source: rate(300).describe('Requests from one address in a minute, wrong ones too.'),
  })
  .refine((section) => section.expires >= 60_000 && section.expires <= 86_400_000, {
    path: ['expires'],
    error: 'must be from 1m to 24h',
  })
  .refine((section) => section.expires % 1_000 === 0, { path: ['expires'], error: 'must be whole seconds' });

export type TokenEndpointMembers = z.output<typeof tokenEndpoint>;
