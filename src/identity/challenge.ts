/** The header that a 401 must have (RFC 9110 section 15.5.2). RFC 6750 section 3: no error code where nothing was sent. */
export function challenge(description?: string): { headers: Readonly<Record<string, string>> } {
  const realm = 'Bearer realm="opallama"';
  return {
    headers: {
      'www-authenticate':
        description === undefined
          ? realm
          : `${realm}, error="invalid_token", error_description="${description.replaceAll('"', "'")}"`,
    },
  };
}
