import { Document, isMap, Scalar } from 'yaml';
import type { AdminToken, Config } from '../configured/config.ts';
import type {
  ClientCertificateConfig,
  IssuerConfig,
  JwtConfig,
  KubernetesConfig,
  OllamaKeyConfig,
  TokenEndpointConfig,
} from '../configured/identity.ts';
import type { ManagementConfig } from '../configured/management.ts';
import type { BundleConfig, OpaConfig, PolicyConfig, ShadowConfig, SignatureConfig } from '../configured/policy.ts';
import type { ListenTls, UpstreamTls } from '../configured/tls.ts';
import { printAuditFile } from './print-audit.ts';
import { printDuration, printSize } from './print-units.ts';
import { printShipping } from './ship.ts';

/**
 * The configuration as YAML that gives the same configuration when it is loaded. A secret is never in it: there stands
 * the name of its variable or file, and in a comment only how long it is.
 */
export function printConfig(config: Config): string {
  const { listen, upstream, policies, shadow, identity, timeouts, limits } = config;
  const document = new Document({
    workers: config.workers ?? 1,
    listen: {
      data: printAddress(listen.data),
      ops: printAddress(listen.ops),
      admin: printAddress(listen.admin),
      hosts: listen.hosts,
      ...(listen.tls && { tls: printListenTls(listen.tls) }),
    },
    upstream: {
      base_url: upstream.baseUrl.href.replace(/\/$/, ''),
      ...(upstream.tls && { tls: printUpstreamTls(upstream.tls) }),
      readiness: upstream.readiness,
      check_every: printDuration(upstream.checkEvery),
    },
    cors: { origins: config.cors.origins },
    prefixes: config.prefixes,
    policy: { ...printPolicies(policies), ...(shadow && { shadow: printShadow(shadow) }) },
    identity: {
      jwt: identity.jwt.map(printKey),
      issuers: identity.issuers.map(printIssuer),
      removed_key_grace: printDuration(identity.removedKeyGrace),
      ...(identity.apiKeysFile === undefined ? {} : { api_keys: { file: identity.apiKeysFile } }),
      ...(identity.revocationsFile === undefined ? {} : { revocations: { file: identity.revocationsFile } }),
      ollama_keys: identity.ollamaKeys.map(printOllamaKey),
      client_certificates: identity.clientCertificates.map(printClientCertificate),
      ...(identity.kubernetes && { kubernetes: printKubernetes(identity.kubernetes) }),
      ...(identity.tokenEndpoint && { token_endpoint: printTokenEndpoint(identity.tokenEndpoint) }),
      ...(identity.anonymous === undefined ? {} : { anonymous: { roles: identity.anonymous.roles } }),
      accept_unknown_credentials: identity.acceptUnknownCredentials,
      role_precedence: identity.rolePrecedence,
    },
    timeouts: {
      connect: printDuration(timeouts.connect),
      first_byte: printDuration(timeouts.firstByte),
      idle: printDuration(timeouts.idle),
      total: printDuration(timeouts.total),
      headers: printDuration(timeouts.headers),
      body: printDuration(timeouts.body),
    },
    limits: {
      body: printSize(limits.body),
      bodies_total: printSize(limits.bodiesTotal),
      blob: printSize(limits.blob),
      headers: printSize(limits.headers),
      in_flight: limits.inFlight,
    },
    audit: {
      stdout: config.audit.stdout,
      ...(config.audit.file && printAuditFile(config.audit.file)),
      ...(config.audit.ship && printShipping(config.audit.ship, printUpstreamTls)),
    },
    admin: { tokens: config.admin.tokens.map(printAdminToken), keep_decisions: config.admin.keepDecisions },
    shutdown: { delay: printDuration(config.shutdown.delay), grace: printDuration(config.shutdown.grace) },
    ...(config.management && { management: printManagement(config.management) }),
    log: { level: config.log.level },
  });
  for (const section of ['listen', 'upstream'] as const) {
    const node = document.getIn([section, 'tls']);
    const { subject, expiresMs } = config[section].tls?.material ?? {};
    if (isMap(node) && subject !== undefined && expiresMs !== undefined)
      node.commentBefore = ` certificate of ${subject}, until ${new Date(expiresMs).toISOString()}; private key: ***`;
  }
  for (const [index, entry] of identity.jwt.entries()) {
    const node = document.getIn(['identity', 'jwt', index]);
    if (isMap(node)) node.commentBefore = ` ${describeKey(entry)}`;
  }
  return document.toString({ lineWidth: 0, flowCollectionPadding: false });
}

function printPolicies(policies: Config['policies']): Record<string, unknown> {
  const [only, ...others] = policies;
  if (only !== undefined && others.length === 0) return printPolicy(only);
  return { all_of: policies.map((policy) => ({ name: policy.name, ...printPolicy(policy) })) };
}

function printShadow(shadow: ShadowConfig): Record<string, unknown> {
  const { keep_revisions: _none, ...printed } = printPolicy(shadow);
  return { name: shadow.name, ...printed, sample: shadow.sample };
}

function printPolicy(policy: PolicyConfig): Record<string, unknown> {
  return {
    path: policy.bundle === undefined ? policy.path : nameBundle(policy.bundle),
    engine: policy.engine,
    entrypoint: policy.entrypoint,
    mode: policy.mode,
    deny_list_operations: policy.denyListOperations,
    isolation: policy.isolation,
    deadline: printDuration(policy.deadline),
    memory: printSize(policy.memory),
    workers: policy.workers,
    keep_revisions: policy.keepRevisions,
    ...(policy.rollout && { rollout: policy.rollout }),
    schema: policy.schema ?? 'warn',
    ...(policy.bundle && policy.bundle.name === undefined && { bundle: printBundle(policy.bundle) }),
    ...(policy.signature && { signature: printSignature(policy.signature) }),
    ...(policy.opa && { opa: printOpa(policy.opa) }),
    ...(policy.stateDir !== undefined && { state_dir: policy.stateDir }),
  };
}

function nameBundle({ name, url }: BundleConfig): string {
  return name === undefined ? url.href : `bundle:${name}`;
}

function printBundle(bundle: BundleConfig): Record<string, unknown> {
  const { tokenSource, tls } = bundle;
  return {
    ...(tokenSource && { [tokenSource.member]: tokenSource.value }),
    ...(tls && { tls: printUpstreamTls(tls) }),
    ...printPolling(bundle),
  };
}

function printPolling({ poll, longPoll, timeout, size }: BundleConfig): Record<string, unknown> {
  return {
    poll: printDuration(poll),
    long_poll: printDuration(longPoll),
    timeout: printDuration(timeout),
    size: printSize(size),
  };
}

function printSignature(signature: SignatureConfig): Record<string, unknown> {
  const { algorithm, source, keyId, scope, excludeFiles, allowUnsignedDeltas } = signature;
  return {
    algorithm,
    ...(source && { [source.member]: source.value }),
    ...(keyId !== undefined && { key_id: quoted(keyId) }),
    ...(scope !== undefined && { scope: quoted(scope) }),
    exclude_files: excludeFiles,
    allow_unsigned_deltas: allowUnsignedDeltas,
  };
}

function printManagement(management: ManagementConfig): Record<string, unknown> {
  const { labels, services, bundles, status, decisionLogs, discovery } = management;
  return {
    labels,
    services: services.map((service) => ({
      name: quoted(service.name),
      url: service.url.href.replace(/\/$/, ''),
      ...(service.tokenSource && { [service.tokenSource.member]: service.tokenSource.value }),
      ...(service.tls && { tls: printUpstreamTls(service.tls) }),
      allow_http: service.allowHttp,
      timeout: printDuration(service.timeout),
    })),
    bundles: bundles.map(({ name, service, resource, bundle }) => ({
      name: quoted(name),
      service: quoted(service),
      resource,
      ...printPolling(bundle),
    })),
    ...(status && {
      status: {
        service: quoted(status.service.name),
        ...(status.partition !== undefined && { partition_name: quoted(status.partition) }),
        interval: printDuration(status.interval),
      },
    }),
    ...(decisionLogs && {
      decision_logs: {
        service: quoted(decisionLogs.service.name),
        resource: decisionLogs.resource.slice(1),
        upload_size: printSize(decisionLogs.uploadSize),
        buffer_events: decisionLogs.bufferEvents,
        min_delay: printDuration(decisionLogs.minDelay),
        max_delay: printDuration(decisionLogs.maxDelay),
        shutdown: printDuration(decisionLogs.shutdown),
      },
    }),
    ...(discovery && {
      discovery: {
        service: quoted(discovery.service),
        resource: discovery.resource,
        ...(discovery.decision !== undefined && { decision: discovery.decision }),
        state_dir: discovery.stateDir,
        ...(discovery.signature && { signature: printSignature(discovery.signature) }),
        ...printPolling(discovery.bundle),
      },
    }),
  };
}

function printListenTls({ files, clientAuth, minVersion }: ListenTls): Record<string, unknown> {
  return {
    cert_file: files.cert,
    key_file: files.key,
    ...(files.ca !== undefined && { client_ca_file: files.ca, client_auth: clientAuth }),
    min_version: minVersion,
  };
}

function printUpstreamTls({ files, serverName }: UpstreamTls): Record<string, unknown> {
  return {
    ...(files.ca !== undefined && { ca_file: files.ca }),
    ...(files.cert !== undefined && { cert_file: files.cert, key_file: files.key }),
    ...(serverName !== undefined && { server_name: serverName }),
  };
}

function printOpa({
  url,
  socket,
  tokenSource,
  tls,
  timeout,
  circuitBreaker,
  reads,
}: OpaConfig): Record<string, unknown> {
  return {
    url: socket === undefined ? url.href.replace(/\/$/, '') : `unix://${socket}`,
    ...(tokenSource && { [tokenSource.member]: tokenSource.value }),
    ...(tls && { tls: printUpstreamTls(tls) }),
    timeout: printDuration(timeout),
    circuit_breaker: { failures: circuitBreaker.failures, reset: printDuration(circuitBreaker.reset) },
    ...(reads && { reads }),
  };
}

function printAdminToken({ name, source, scope }: AdminToken): Record<string, unknown> {
  return { name: quoted(name), [source.member]: source.value, scope };
}

function printKey(entry: JwtConfig): Record<string, unknown> {
  return {
    algorithm: entry.algorithm,
    ...(entry.source === undefined ? {} : { [entry.source.member]: entry.source.value }),
    ...(entry.kid === undefined ? {} : { kid: quoted(entry.kid) }),
    issuer: quoted(entry.issuer),
    audience: quoted(entry.audience),
    ...(Object.keys(entry.claims).length === 0 ? {} : { claims: entry.claims }),
    clock_tolerance: printDuration(entry.clockToleranceS * 1_000),
  };
}

function printIssuer(entry: IssuerConfig): Record<string, unknown> {
  return {
    issuer: quoted(entry.issuer),
    audience: quoted(entry.audience),
    algorithms: entry.algorithms,
    ...(entry.jwksUrl && { jwks_url: entry.jwksUrl.href }),
    ...(entry.tls && { tls: printUpstreamTls(entry.tls) }),
    ...(Object.keys(entry.claims).length === 0 ? {} : { claims: entry.claims }),
    clock_tolerance: printDuration(entry.clockToleranceS * 1_000),
    timeout: printDuration(entry.timeout),
    refresh: printDuration(entry.refresh),
    refresh_min: printDuration(entry.refreshMin),
    refresh_max: printDuration(entry.refreshMax),
    stale: printDuration(entry.stale),
  };
}

function printKubernetes(section: KubernetesConfig): Record<string, unknown> {
  return {
    audience: quoted(section.audience),
    issuer: quoted(section.issuer),
    algorithms: section.algorithms,
    api_server: section.apiServer.href.replace(/\/$/, ''),
    ca_file: section.caFile,
    token_file: section.tokenFile,
    ...(section.jwksFile !== undefined && { jwks_file: section.jwksFile }),
    max_lifetime: printDuration(section.maxLifetimeS * 1_000),
    clock_tolerance: printDuration(section.clockToleranceS * 1_000),
    service_accounts: section.serviceAccounts.map(({ namespace, name, roles, agentRole, permissions, tenant }) => ({
      namespace: quoted(namespace),
      name: quoted(name),
      roles,
      ...(agentRole === undefined ? {} : { agent_role: quoted(agentRole) }),
      permissions,
      ...(tenant === undefined ? {} : { tenant: quoted(tenant) }),
    })),
  };
}

function printTokenEndpoint(section: TokenEndpointConfig): Record<string, unknown> {
  return {
    algorithm: section.algorithm,
    [section.source.member]: section.source.value,
    clients_file: section.clientsFile,
    kid: quoted(section.kid),
    issuer: quoted(section.issuer),
    audience: quoted(section.audience),
    expires: printDuration(section.expiresS * 1_000),
    requests_per_client: section.perClient,
    requests_per_source: section.perSource,
  };
}

function printOllamaKey(entry: OllamaKeyConfig): Record<string, unknown> {
  return {
    id: quoted(entry.id),
    public_key: `ssh-ed25519 ${entry.publicKey}`,
    roles: entry.roles,
    ...(entry.agentRole === undefined ? {} : { agent_role: quoted(entry.agentRole) }),
    permissions: entry.permissions,
    ...(entry.tenant === undefined ? {} : { tenant: quoted(entry.tenant) }),
    clock_tolerance: printDuration(entry.clockToleranceMs),
  };
}

function printClientCertificate(entry: ClientCertificateConfig): Record<string, unknown> {
  return {
    id: quoted(entry.id),
    [entry.match]: quoted(entry.value),
    roles: entry.roles,
    ...(entry.agentRole === undefined ? {} : { agent_role: quoted(entry.agentRole) }),
    permissions: entry.permissions,
    ...(entry.tenant === undefined ? {} : { tenant: quoted(entry.tenant) }),
    carries_tokens: entry.carriesTokens,
  };
}

function quoted(text: string): Scalar {
  const scalar = new Scalar(text);
  scalar.type = Scalar.QUOTE_DOUBLE;
  return scalar;
}

function describeKey({ key }: JwtConfig): string {
  if (key.type === 'secret') return `secret: *** (${key.symmetricKeySize} bytes)`;
  const { modulusLength, namedCurve } = key.asymmetricKeyDetails ?? {};
  return `public key: ${key.asymmetricKeyType} ${namedCurve ?? `${modulusLength} bits`}`;
}

function printAddress({ host, port }: Config['listen']['data']): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}
