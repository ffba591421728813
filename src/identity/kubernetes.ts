/**
 * Service accounts of a Kubernetes cluster, by the tokens that kubelets project into pods: JWTs of the cluster's own issuer
 * for the audience that the pod asked for, with the objects that they are bound to in the claim `kubernetes.io`.
 */
import { z } from 'zod';

import type { KubernetesConfig } from '../configured/identity.ts';
import { inOnePiece } from '../one-piece.ts';
import type { Principal } from '../types.ts';
import type { KeyRing, Verifier } from './verifier.ts';

type Claims = Readonly<Record<string, unknown>>;

const object = z.object({ name: z.string().min(1), uid: z.string().min(1) });
const bound = z.object({
  namespace: z.string().min(1),
  serviceaccount: object,
  pod: object.optional(),
  node: z.object({ name: z.string().min(1), uid: z.string().optional() }).optional(),
});

export function createKubernetesVerifier(config: KubernetesConfig, keys: KeyRing): Verifier {
  const { issuer, audience, clockToleranceS } = config;
  return { issuer, audience, clockToleranceS, keys, readPrincipal: (claims) => readServiceAccount(claims, config) };
}

/**
 * @param claims verified
 * @returns the caller: its id is the user name that Kubernetes itself gives a service account, its tenant the namespace
 *   unless the configuration names one; or a text that says why it is none
 */
export function readServiceAccount(claims: Claims, config: KubernetesConfig): Principal | string {
  const read = bound.safeParse(claims['kubernetes.io']);
  if (!read.success) return 'the token is not one of a service account';
  const { namespace, serviceaccount } = read.data;
  const id = `system:serviceaccount:${namespace}:${serviceaccount.name}`;
  if (claims['sub'] !== id) return 'the subject of the token is not the service account that it names';
  const { exp, iat } = claims;
  // A pod's token is exchanged long before it ends; one that is valid for a year was made by hand and may be anywhere.
  if (typeof exp !== 'number' || typeof iat !== 'number' || exp - iat > config.maxLifetimeS)
    return 'the token is valid for longer than identity.kubernetes.max_lifetime';
  const entry = config.serviceAccounts.find(
    (one) => fits(one.namespace, namespace) && fits(one.name, serviceaccount.name),
  );
  if (entry === undefined) return 'its service account is not listed in identity.kubernetes.service_accounts';
  const { roles, agentRole, permissions, tenant = namespace } = entry;
  return { id: inOnePiece(id), kind: 'kubernetes', roles, agentRole, permissions, tenant, claims };
}

function fits(pattern: string, name: string): boolean {
  return pattern === '*' || pattern === name;
}
