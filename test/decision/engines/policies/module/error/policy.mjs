export async function evaluate(input) {
  if (input.model === 'broken') throw new Error('no answer');
  return { allow: input.model === 'tiny' };
}
