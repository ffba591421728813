export const evaluate = (input) => ({ allow: input.model === 'tiny' });
