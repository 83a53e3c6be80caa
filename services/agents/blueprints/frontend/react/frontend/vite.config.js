import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

// During development the API runs beside; in production the web server passes /api on (nginx.conf).
export default defineConfig({
  plugins: [react()],
  server: { proxy: { "/api": process.env.API ?? "http://127.0.0.1:8000" } },
});
