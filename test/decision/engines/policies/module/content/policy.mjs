export const reads = ['messages'];

export function evaluate(input) {
  return { allow: !(input.messages ?? []).some(({ content }) => content.includes('geheim 🔑')) };
}
