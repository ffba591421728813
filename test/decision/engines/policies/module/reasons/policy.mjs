export const codes = ['model_not_allowed', 'too_many_messages'];

export function evaluate(input) {
  const deny = new Set();
  const forbidden = input.model === 'forbidden';
  if (forbidden) deny.add({ code: 'model_not_allowed', message: `The model ${input.model} is not for you.` });
  if (input.message_count > 10) deny.add('too_many_messages');
  if (input.operation === 'embed') deny.add('Nobody may embed, ask the owner.');
  return { allow: true, deny, reasons: forbidden ? [{ code: 'see_handbook' }] : [] };
}
