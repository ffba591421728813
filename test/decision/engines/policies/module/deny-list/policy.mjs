export const shape = 'deny_list';

export const evaluate = (input) => ({ deny: input.model === 'forbidden' ? ['model_not_allowed'] : [] });
