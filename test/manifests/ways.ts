/** Values of the chart: ways to use it, by name, and what it refuses with which words. */
const bundle = [
  '--set=policy.source=bundle',
  '--set=policy.bundle.url=https://bundles.policy.svc/ollama.tar.gz',
  '--set=policy.bundle.tokenKey=bundle-token',
  '--set=policy.bundle.signature.publicKeyKey=bundle-key.pem',
  '--set=policy.bundle.namespace=policy',
];

export const ways: Readonly<Record<string, readonly string[]>> = {
  'a native sidecar': [],
  'a plain container': ['--set=sidecar=container'],
  'a gateway': ['--set=mode=gateway,replicas=3'],
  'a policy of a ConfigMap': [
    '--set=policy.source=configMap',
    '--set-string=policy.files.authz\\.rego=package ollama.authz\ndefault allow := false\n',
  ],
  'a policy of a bundle': bundle,
  'a gateway with a policy of a bundle': ['--set=mode=gateway', ...bundle],
  'monitoring and autoscaling': ['--set=monitoring.enabled=true,autoscaling.enabled=true'],
};

export const wrong: ReadonlyArray<readonly [string, string]> = [
  ['replicas=many', "at '/replicas': got string, want integer"],
  ['replica=1', "additional properties 'replica' not allowed"],
  ['mode=both', "at '/mode': value must be one of 'sidecar', 'gateway'"],
  ['image.tag=latest', "at '/image/tag': 'latest' does not match pattern"],
  ['ollama.env[0].name=OLLAMA_HOST', "OLLAMA_HOST is the chart's"],
  ['config.listne.data=1', "at '/config': additional properties 'listne' not allowed"],
  ['config.policy.engine=regex', "at '/config/policy/engine': value must be one of"],
  ['policy.source=configMap', "at '/policy/files': minProperties: got 0, want 1"],
  ['policy.source=bundle', "at '/policy/bundle/url': minLength"],
  ['resources.limits.cpu=lots', "at '/resources/limits/cpu'"],
  ['resources.limits.memory=null', "missing property 'memory'"],
  ['networkPolicy.callers=null', "missing property 'callers'"],
  ['podDisruptionBudget.maxUnavailable=0', 'minimum: got 0, want 1'],
  ['shutdown.graceSeconds=5m', "at '/shutdown/graceSeconds': got string, want integer"],
  ['config.timeouts.idle=5', "at '/config/timeouts/idle': maximum: got 5, want 0"],
  ['config.timeouts.idle=5sec', "at '/config/timeouts/idle': '5sec' does not match pattern"],
];
