export const evaluate = (input) => ({ allow: input.options.answer });
