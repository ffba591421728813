export function evaluate(input) {
  return { allow: input.principal.roles.includes('developer') && input.model === 'tiny' };
}
