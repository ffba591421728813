/**
 * A discovered configuration, in OPA's spelling (OPA's docs: configuration; management API, discovery), read into ours.
 *
 * It may say which bundles there are, and where status and decisions go, among services that the sidecar's own configuration
 * names. Whatever else it says is refused as a whole: who can write it must not get at secrets, listeners, callers or upstreams.
 */
import { z } from 'zod';
import type {
  DecisionLogConfig,
  ManagementConfig,
  NamedBundle,
  ServiceConfig,
  StatusConfig,
} from '../configured/management.ts';
import { PolicyError, type PolicyFault } from '../errors.ts';
import { bundleOfService, isPlainResource } from '../service-bundle.ts';

const seconds = z.int().min(1).max(86_400);
const name = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/, { error: 'is no name: letters, digits and ._-' });
const resource = z
  .string()
  .transform((text) => text.replace(/^\//, ''))
  .refine(isPlainResource, { error: 'is no path below the URL of the service' });
const defaultTrigger = z.literal('periodic').optional();

/** What OPA verifies by is the sidecar's own to say: `policy.signature`. */
const signing = z.unknown().optional();

const bundle = z.strictObject({
  service: name.optional(),
  resource: resource.optional(),
  polling: z
    .strictObject({
      min_delay_seconds: seconds.optional(),
      max_delay_seconds: seconds.optional(),
      long_polling_timeout_seconds: seconds.optional(),
    })
    .optional(),
  size_limit_bytes: z
    .int()
    .min(1024)
    .max(1024 ** 3)
    .optional(),
  trigger: defaultTrigger,
  // A sidecar keeps what policy.state_dir says.
  persist: z.boolean().optional(),
  signing,
});

const status = z.strictObject({
  service: name.optional(),
  partition_name: resource.optional(),
  trigger: defaultTrigger,
  // Metrics and logs are the sidecar's own.
  console: z.boolean().optional(),
  prometheus: z.boolean().optional(),
});

const decisionLogs = z.strictObject({
  service: name.optional(),
  resource: resource.optional(),
  reporting: z
    .strictObject({
      buffer_type: z.enum(['size', 'event']).optional(),
      buffer_size_limit_bytes: z.int().min(0).optional(),
      buffer_size_limit_events: z.int().min(1).max(1_000_000).optional(),
      upload_size_limit_bytes: z
        .int()
        .min(1024)
        .max(64 * 1024 * 1024)
        .optional(),
      min_delay_seconds: seconds.optional(),
      max_delay_seconds: seconds.optional(),
      trigger: z.enum(['periodic', 'immediate']).optional(),
    })
    .optional(),
  mask_decision: z.enum(['/system/log/mask', 'system/log/mask']).optional(),
  drop_decision: z.enum(['/system/log/drop', 'system/log/drop']).optional(),
  console: z.boolean().optional(),
});

const document = z.strictObject({
  labels: z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_./-]{0,63}$/), z.string().max(256)).default({}),
  bundles: z.record(name, bundle).default({}),
  status: status.optional(),
  decision_logs: decisionLogs.optional(),
  // What OPA answers by itself, which a sidecar does not.
  default_decision: z.string().optional(),
  default_authorization_decision: z.string().optional(),
});

export interface Discovered {
  readonly config: ManagementConfig;
  /** Members that count as the sidecar's own configuration has them. */
  readonly overridden: readonly string[];
}

export interface DiscoveredOptions {
  readonly boot: ManagementConfig;
  /** Bundles that policies name and that the sidecar's own configuration does not have. */
  readonly wanted: ReadonlySet<string>;
  /** Whether a bundle of this name is verified wherever it decides. */
  readonly verifies: (name: string) => boolean;
  /** Where a bundle says nothing of its own. */
  readonly polling: {
    readonly poll: number;
    readonly longPoll: number;
    readonly timeout: number;
    readonly size: number;
  };
}

/**
 * @param value what the discovery bundle says
 * @throws PolicyError with everything that is wrong with it
 */
export function readDiscovered(value: unknown, options: DiscoveredOptions): Discovered {
  const parsed = document.safeParse(value);
  if (!parsed.success) throw refuse(parsed.error.issues.flatMap(describeIssue));
  const { boot, wanted } = options;
  const faults: string[] = [];
  const overridden: string[] = [];
  const { data } = parsed;

  const find = (at: string, service: string | undefined): ServiceConfig | undefined => {
    const [only] = boot.services;
    if (service === undefined && boot.services.length === 1) return only;
    const found = boot.services.find((each) => each.name === service);
    if (found === undefined)
      faults.push(
        service === undefined
          ? `${at}: names no service, and there are several`
          : `${at}.service: ${service} is no service of management.services, and no other is taken`,
      );
    return found;
  };

  const bundles = Object.entries(data.bundles).flatMap(([key, each]): readonly NamedBundle[] => {
    const at = `bundles.${key}`;
    const service = find(at, each.service);
    if (each.signing !== undefined && !options.verifies(key))
      faults.push(`${at}.signing: bundles are verified by policy.signature, which is not configured`);
    const { min_delay_seconds: min, max_delay_seconds: max, long_polling_timeout_seconds: long } = each.polling ?? {};
    if (min !== undefined && max !== undefined && min > max)
      faults.push(`${at}.polling: max_delay_seconds is too small`);
    if (service === undefined) return [];
    if (boot.bundles.some((own) => own.name === key)) {
      overridden.push(at);
      return [];
    }
    const path = each.resource ?? `bundles/${key}`;
    const polled = {
      ...options.polling,
      ...((min !== undefined || max !== undefined) && { poll: (((min ?? max ?? 0) + (max ?? min ?? 0)) / 2) * 1000 }),
      ...(long !== undefined && { longPoll: long * 1000 }),
      ...(each.size_limit_bytes !== undefined && { size: each.size_limit_bytes }),
    };
    const got = bundleOfService(service, { name: key, resource: path, ...polled });
    return [{ name: key, service: service.name, resource: path, bundle: got }];
  });
  for (const each of wanted)
    if (!Object.hasOwn(data.bundles, each)) faults.push(`bundles.${each}: is missing, and a policy names it`);

  const statusService = data.status && find('status', data.status.service);
  const logService = data.decision_logs && find('decision_logs', data.decision_logs.service);
  if (data.status !== undefined && boot.status !== undefined) overridden.push('status');
  if (data.decision_logs !== undefined && boot.decisionLogs !== undefined) overridden.push('decision_logs');
  const labels: Record<string, string> = {};
  for (const [label, text] of Object.entries(data.labels)) {
    // By these a control plane knows who reports, also where somebody else writes what is discovered.
    if (Object.hasOwn(boot.labels, label) || label === 'id' || label === 'version') overridden.push(`labels.${label}`);
    else labels[label] = text;
  }
  const discoveredLogs = data.decision_logs && logService && toDecisionLogs(data.decision_logs, logService, faults);
  if (faults.length > 0) throw refuse(faults);
  return {
    config: {
      ...boot,
      labels: { ...labels, ...boot.labels },
      bundles: [...boot.bundles, ...bundles],
      status: boot.status ?? (data.status && statusService && toStatus(data.status, statusService)),
      decisionLogs: boot.decisionLogs ?? discoveredLogs,
    },
    overridden,
  };
}

function toStatus({ partition_name: partition }: z.output<typeof status>, service: ServiceConfig): StatusConfig {
  return { service, partition, interval: 60_000 };
}

function toDecisionLogs(
  { resource: path = 'logs', reporting = {} }: z.output<typeof decisionLogs>,
  service: ServiceConfig,
  faults: string[],
): DecisionLogConfig {
  const { min_delay_seconds: min, max_delay_seconds: max } = reporting;
  const minDelay = min === undefined ? Math.min(5000, (max ?? 5) * 1000) : min * 1000;
  const maxDelay = max === undefined ? Math.max(10_000, minDelay) : max * 1000;
  if (minDelay > maxDelay) faults.push('decision_logs.reporting: max_delay_seconds is too small');
  return {
    service,
    resource: `/${path}`,
    uploadSize: reporting.upload_size_limit_bytes ?? 32 * 1024,
    bufferEvents: reporting.buffer_size_limit_events ?? 10_000,
    minDelay,
    maxDelay,
    shutdown: 3000,
  };
}

/** Members that OPA takes from discovery and a sidecar does not. */
const ownMembers: ReadonlySet<string> = new Set(['services', 'keys', 'discovery', 'plugins', 'server', 'storage']);

function describeIssue(issue: z.core.$ZodIssue): readonly string[] {
  const at = issue.path.map(String).join('.');
  if (issue.code !== 'unrecognized_keys') return [`${at}: ${issue.message}`];
  return issue.keys.map((key) => {
    const own = at === '' && ownMembers.has(key);
    return `${at === '' ? '' : `${at}.`}${key}: ${own ? "is the sidecar's own to configure" : 'is not known here'}`;
  });
}

function refuse(texts: readonly string[]): PolicyError {
  const faults = texts.slice(0, 20).map((message): PolicyFault => {
    return { code: 'invalid_discovery', message, file: undefined, row: undefined, column: undefined };
  });
  return new PolicyError('The discovered configuration is refused, and nothing of it is taken.', faults);
}
