export const evaluate = (input) => ({ allow: true, deny: input.model === 'forbidden' });
