/** The pool alone: undici's index would load fetch, caches and mocks too, 40 ms and 7 MiB at each start. */
declare module 'undici/lib/dispatcher/pool.js' {
  export { Pool as default } from 'undici';
}
