/**
 * Decides by a table of roles, beside this file: which models a role may use, and between which hours (UTC).
 *
 *   policy: { engine: module, path: examples/module-engine/authz.mjs }
 */
import roles from './roles.json' with { type: 'json' };

export const reads = ['principal', 'operation', 'model', 'now_ns'];
export const codes = ['no_role', 'operation_not_allowed', 'model_not_allowed', 'outside_hours'];

const reading = new Set(['models.list', 'models.show', 'models.ps', 'version', 'status', 'root']);
const using = new Set(['chat', 'generate', 'embed']);

export function evaluate(input) {
  const known = input.principal.roles.filter((role) => Object.hasOwn(roles, role));
  if (known.length === 0) return deny('no_role', 'No role of the caller is in roles.json.');
  if (reading.has(input.operation)) return { allow: true };
  if (!using.has(input.operation)) return deny('operation_not_allowed', `Nobody may ${input.operation} here.`);

  // A role grants what it grants as a whole: the models of one and the hours of another would be nobody's grant.
  const granting = known.filter((role) => roles[role].models.includes(input.model));
  if (granting.length === 0) return deny('model_not_allowed', `No role of the caller lists the model ${input.model}.`);
  const hour = new Date(input.now_ns / 1e6).getUTCHours();
  if (!granting.some((role) => roles[role].from <= hour && hour < roles[role].until)) {
    return deny('outside_hours', `The model ${input.model} is not served at ${hour}:00 UTC.`);
  }
  return { allow: true };
}

function deny(code, message) {
  return { allow: false, deny: [{ code, message }] };
}
