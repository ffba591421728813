const headers = { tiny: { 'X-Tenant': 'blue' }, forging: { Authorization: 'Bearer x' } };

export function evaluate(input) {
  return {
    allow: true,
    headers: headers[input.model],
    request_headers_to_remove: ['User-Agent'],
    response_headers_to_add: { 'X-Judged': 'yes' },
    dynamic_metadata: { team: 'blue', cost: 1.5 },
  };
}
