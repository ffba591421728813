import models from './models.json' with { type: 'json' };

export function evaluate(input) {
  const { id } = input.principal;
  return { allow: Object.hasOwn(models, id) && models[id].includes(input.model) };
}
