-- Asks Hatchery whether the device whose certificate HAProxy has verified may go on.
--
-- 200 sets txn.hatchery_device and what else Hatchery tells of the device, 403 sets txn.hatchery_reason;
-- whatever else comes sets neither, and ask-hatchery.cfg lets nobody through who has no device.

local ADDRESS = os.getenv("HATCHERY_STATUS") .. "/authorize"
local VIA = os.getenv("HATCHERY_VIA") -- a socket to connect to instead, if set
local PATIENCE = 5000 -- milliseconds
local TOLD = { "device", "serial", "uri", "groups", "not-after" }

local function header(response, name)
    local values = response.headers and response.headers[name]
    return values and values[0]
end

local function ask(txn)
    local certificate = txn.f:ssl_c_der()
    if not certificate or certificate == "" then
        return
    end
    local response = core.httpclient():get({
        url = ADDRESS,
        dst = VIA,
        timeout = PATIENCE,
        headers = {
            ["x-ssl-client-der"] = { txn.c:base64(certificate) },
            ["x-forwarded-for"] = { txn.f:src() },
        },
    })
    if response.status == 200 then
        for _, name in ipairs(TOLD) do
            local value = header(response, "hatchery-" .. name)
            if value then
                txn:set_var("txn.hatchery_" .. name:gsub("-", "_"), value)
            end
        end
    elseif response.status == 403 then
        txn:set_var("txn.hatchery_reason", header(response, "hatchery-reason") or "refused")
    end
end

core.register_action("ask_hatchery", { "http-req" }, ask)
