/**
 * V8 keeps a text that was put together, or cut out of another one, as what points to its parts. `JSON.stringify` leaves its
 * quick way where it meets one, and takes three times as long for the whole document: the record of each request is one.
 */
const room = Buffer.allocUnsafe(512);

/** @returns the same text, copied where it was in parts; as it is where it is long, or has characters beyond Latin-1 */
export function inOnePiece(text: string): string {
  const copy = room.toString('latin1', 0, room.write(text, 'latin1'));
  return copy === text ? copy : text;
}
