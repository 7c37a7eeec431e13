// What every page of the console needs.
export {};
