const answers = { tiny: true, other: false };

export const entrypoints = ['suite/allow'];

export async function evaluate(input) {
  return answers[input.model];
}
