const statuses = { hidden: 404, lying: 200 };

export function evaluate(input) {
  const hidden = input.model === 'hidden';
  return {
    allow: false,
    http_status: statuses[input.model],
    body: hidden ? { error: 'no such model' } : undefined,
    headers: hidden ? { 'X-Support': 'help@example.org' } : undefined,
  };
}
