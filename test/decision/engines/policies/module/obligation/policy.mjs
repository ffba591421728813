export function evaluate(input) {
  return { allow: true, obligations: input.model === 'routed' ? { no_such_obligation: { targets: ['gpu'] } } : {} };
}
